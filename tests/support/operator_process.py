"""`paperjobs operator` as a process of its own, as a Deployment would start it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from support.ports import free_port
from support.tether import tethered


def until(look: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What `look` finds, as soon as it finds something; TimeoutError when it does not."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing after {seconds} s")
        time.sleep(0.02)
    return found


@dataclass
class OperatorProcess:
    """One replica."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """Everything it logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def actions(self) -> list[str]:
        """The actions of its log lines, in their order."""
        return [line["action"] for line in self.lines() if "action" in line]

    def wait_for(self, action: str, seconds: float = 20.0) -> dict[str, Any]:
        """The newest log line with this action."""
        found = until(lambda: [line for line in self.lines() if line.get("action") == action], seconds)
        last: dict[str, Any] = found[-1]
        return last

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of one of its pages."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def ready(self) -> bool:
        """Whether the readiness probe passes."""
        with suppress(urllib.error.URLError):
            return self.get("/readyz")[0] == 200
        return False

    def stop(self, number: int = signal.SIGTERM, seconds: float = 10.0) -> int:
        """Send a signal and wait; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


class Start(Protocol):
    """Starts one more replica, with these environment variables beside or instead of the usual ones.

    With one of `crashing_operator`'s, it is that program: it may die on its way."""

    def __call__(self, **variables: str) -> OperatorProcess: ...


@contextmanager
def operator_processes(folder: Path, kubeconfig: Path, redis_port: int, runner_image: str) -> Iterator[Start]:
    """Starts replicas with a kubeconfig's rights; those that still run at the end are killed."""
    started: list[OperatorProcess] = []

    def one_more(**variables: str) -> OperatorProcess:
        port, log = free_port(), folder / f"operator-{len(started)}.log"
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "KUBECONFIG": str(kubeconfig),
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(redis_port),
            "PAPERJOBS_HTTP_HOST": "127.0.0.1",
            "PAPERJOBS_HTTP_PORT": str(port),
            "PAPERJOBS_RUNNER_IMAGE": runner_image,
            **variables,
        }
        program = [str(Path(sys.executable).with_name("paperjobs")), "operator"]
        if any(name.startswith("PAPERJOBS_TEST_") for name in variables):
            program = [sys.executable, "-m", "support.crashing_operator"]
            env["PYTHONPATH"] = str(Path(__file__).parents[1])
        with log.open("wb") as output:
            command = tethered(program)
            process = subprocess.Popen(command, env=env, stderr=output, stdout=output)
        started.append(OperatorProcess(process, port, log))
        return started[-1]

    try:
        yield one_more
    finally:
        for replica in started:
            if replica.process.poll() is None:
                replica.process.kill()
            replica.process.wait()
