"""Figure: API writes of the operator for one job's whole life, from its PaperJob to that one's deletion.

The history is full before counting begins, so every counted job also costs the deletion of an older one. Lease renewals
and PaperQueue statuses are paced by time and not by jobs; they are told apart.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final, cast

import redis

from bench.api_requests import WRITES, Counts, operator_requests, readable, server_requests, total
from bench.figure import Figure
from bench.installation import Installation, bench_queue, installation
from bench.stock import StockProcess, stock_process
from bench.target import Target
from support.node_project import install_webapp
from support.operator_process import until
from support.tools import node

QUEUE: Final = "bench"
JOBS: Final = 20
RUN_SECONDS: Final = 1
CONCURRENCY: Final = 2
KEPT: Final = 5
LOOK_SECONDS: Final = 0.5
"""Between two calls of kubectl, each of which takes a tenth of a second from the operator's cores."""
DESIGNED_WRITES: Final = 5
"""PaperJob, Job, running, ended, deletion (design.md, "Write little")."""


def measure(folder: Path) -> list[Figure]:
    """Writes a job, and beside them those that time causes."""
    with installation(folder, [bench_queue(QUEUE, concurrency=CONCURRENCY, keep=KEPT)]) as parts:
        sent, answered, seconds = asyncio.run(_count(parts))
    of_time = {"leases", "paperqueues"}
    of_jobs = total(sent, verbs=WRITES, without=of_time)
    by_time = total(sent, verbs=WRITES) - of_jobs
    return [
        Figure(
            name="operator's API writes for one job's whole life",
            unit="writes",
            value=of_jobs / JOBS,
            baseline_name="the design's five writes: PaperJob, Job, running, ended, deletion",
            baseline=DESIGNED_WRITES,
            target=Target(DESIGNED_WRITES),
            details={
                "jobs": JOBS,
                "runSeconds": RUN_SECONDS,
                "writes": {name: number for name, number in readable(sent).items() if name.split()[0] in WRITES},
                "reads": {name: number for name, number in readable(sent).items() if name.split()[0] not in WRITES},
                "ourKindsAsTheServerCounts": readable(answered),
            },
        ),
        Figure(
            name="operator's API writes that time causes, while jobs run (leases, PaperQueue status)",
            unit="writes/min",
            value=by_time * 60 / seconds,
            details={"seconds": round(seconds, 1)},
        ),
    ]


async def _count(parts: Installation) -> tuple[Counts, Counts, float]:
    async with stock_process(node(), install_webapp(), parts.valkey_port) as producer:
        await _run_jobs(parts, producer, KEPT)
        before, served, begun = operator_requests(parts.operator), server_requests(parts.cluster), time.monotonic()
        await _run_jobs(parts, producer, JOBS)
        seconds = time.monotonic() - begun
        sent = operator_requests(parts.operator)
        answered = server_requests(parts.cluster)
    sent.subtract(before)
    answered.subtract(served)
    return sent, answered, seconds


async def _run_jobs(parts: Installation, producer: StockProcess, jobs: int) -> None:
    """Returns when all have ended and only the history's PaperJobs are left."""
    with redis.Redis(host="127.0.0.1", port=parts.valkey_port) as client:

        def completed() -> int:
            return int(cast(int, client.zcard(f"bull:{QUEUE}:completed")))

        wanted = completed() + jobs
        for _ in range(jobs):
            await producer.add(QUEUE, {"seconds": RUN_SECONDS})
        await asyncio.to_thread(until, lambda: completed() >= wanted, 120)
    await asyncio.to_thread(until, lambda: _phases(parts) == ["Completed"] * KEPT, 60)


def _phases(parts: Installation) -> list[str]:
    time.sleep(LOOK_SECONDS)
    path = "jsonpath={.items[*].status.phase}"
    return parts.cluster.kubectl("-n", parts.namespace, "get", "paperjobs", "-o", path).split()
