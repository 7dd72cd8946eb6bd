"""A runner for tests of local mode: its payload says how it ends."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from paperjobs.local.cluster import LocalCluster
from paperjobs.local.process import ProcessId
from paperjobs.model import Claim, Job, QueueSettings, Run, RunPhase

QUEUE = QueueSettings(name="papers", queue="papers", pipeline="institution-extraction", concurrency=2, timeout_s=60)

PROGRAM = """
import json, os, signal, subprocess, sys, time
order = json.loads(os.environ.get("PAPERJOBS_PAYLOAD", '{"none": true}'))
print("told to", order, flush=True)
if order.get("onTerm") == "ignore":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
elif order.get("onTerm") == "exit":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(order["termCode"]))
if "child" in order:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    open(order["child"], "w").write(str(child.pid))
if "started" in order:
    open(order["started"], "a").write("x")
if "message" in order:
    open(os.environ["PAPERJOBS_TERMINATION_LOG"], "w").write(json.dumps(order["message"]))
if "env" in order:
    open(order["env"], "w").write(json.dumps(dict(os.environ)))
time.sleep(order.get("sleep", 0))
if "signal" in order:
    os.kill(os.getpid(), order["signal"])
sys.exit(order.get("exit", 0))
"""


class Wakes:
    """Counts how often the engine would have been woken for each queue."""

    def __init__(self) -> None:
        self.queues: list[str] = []

    def __call__(self, queue: str) -> None:
        self.queues.append(queue)


def program(folder: Path) -> Path:
    """The program's file, written into `folder`."""
    path = folder / "program.py"
    path.write_text(PROGRAM)
    return path


def job(job_id: str = "1", *, claim: int = 1, attempts_made: int = 0, **order: Any) -> Job:
    """A claimed job whose run does what `order` says."""
    token = f"token-{job_id}-{claim}"
    return Job(
        id=job_id,
        name="papers",
        claim=Claim(number=claim, token=token),
        attempts_made=attempts_made,
        data=json.dumps(order),
    )


async def ended(cluster: LocalCluster, name: str, queue: QueueSettings = QUEUE) -> Run:
    """Wait until a run's process is gone."""
    async with asyncio.timeout(20):
        while True:
            for run in cluster.runs(queue):
                if run.name == name and run.phase is RunPhase.ENDED:
                    return run
            await asyncio.sleep(0.02)


async def exists(path: Path) -> None:
    """Wait until a run has written a file."""
    async with asyncio.timeout(20):
        while True:
            if path.exists() and path.read_text():  # noqa: ASYNC240 - a test may block
                return
            await asyncio.sleep(0.02)


async def gone(pid: int) -> None:
    """Wait until a process is gone; one whose parent has yet to read its exit code is gone."""
    async with asyncio.timeout(20):
        while True:
            try:
                ProcessId.of(pid)
            except ProcessLookupError:
                return
            await asyncio.sleep(0.02)
