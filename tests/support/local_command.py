"""The command `paperjobs` as a process, for tests: its output line by line, and nothing of it left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

NOT_FOR_TESTS = ("REDIS_", "DATABASE_URL", "ARXIV_", "ADOBE_", "ANTHROPIC_", "AWS_", "ASANA_", "PAPERJOBS_")
"""Variables of the developer's own environment that would make a test use something real."""


def clean_env(**more: str) -> dict[str, str]:
    """This process's environment without any real service."""
    return {name: value for name, value in os.environ.items() if not name.startswith(NOT_FOR_TESTS)} | more


class Command:
    """A running `paperjobs …`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """Everything printed so far."""
        return "\n".join(self.lines)

    def wait_for(self, words: str, *, times: int = 1, seconds: float = 60) -> None:
        """Wait until that many lines hold `words`."""

        def there() -> bool:
            return sum(words in line for line in self.lines) >= times

        self._until(there, seconds, f"{times} x {words!r}")

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Ctrl-C, or another signal."""
        self.process.send_signal(number)

    def ended(self, *, seconds: float = 60) -> int:
        """Wait for the end; returns the exit code."""
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code

    def _until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline or (self.process.poll() is not None and not self._reader.is_alive()):
                raise AssertionError(f"no {what} within {seconds:g} s; the command printed:\n{self.output}")
            time.sleep(0.05)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


@contextmanager
def paperjobs(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Command]:
    """Run `paperjobs ARGUMENTS`; it is killed when it has not ended by the end of the context."""
    process = subprocess.Popen(
        [sys.executable, "-m", "paperjobs", *arguments],
        env=dict(env) if env is not None else clean_env(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield (command := Command(process))
    finally:
        process.kill()
        command.ended()
        assert process.stdout is not None
        process.stdout.close()


def run_paperjobs(
    arguments: Sequence[str], *, env: Mapping[str, str] | None = None, seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run `paperjobs ARGUMENTS` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "paperjobs", *arguments],
        env=dict(env) if env is not None else clean_env(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
