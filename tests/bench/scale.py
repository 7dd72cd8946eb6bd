"""Figures: what many finished PaperJobs and many waiting jobs cost the operator: memory, and time to start.

The finished ones are copies of a real one, PaperJob, Job and Pod; memory is what the process has resident when it has
come to rest after a start. The waiting jobs are added to a queue whose slots are all taken, as a backlog is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.figure import Figure
from bench.installation import Site, bench_queue, first_launch, installed, settings_of, site, test_node
from bench.machine import peak_memory, resident_memory
from bench.stock import StockProcess, stock_process
from bench.target import Of, Target
from support.crowd import Original, fill_waiting, original, put_into_cluster
from support.node_project import install_webapp
from support.operator_process import OperatorProcess, until
from support.tools import node

FEW, MANY = 100, 10_000
FEW_WAIT, MANY_WAIT = 1_000, 1_000_000
QUEUES: Final = [bench_queue(name, concurrency=2, keep=10_000) for name in ("bench-1", "bench-2")]
"""Two, because one keeps 10,000 PaperJobs at most."""
BACKLOG: Final = bench_queue("backlog", concurrency=1)
ORIGINAL: Final = "the-original-of-the-copies"
REST_SECONDS: Final = 12
"""After a start, until memory is read: two resyncs of a busy queue."""


@dataclass(frozen=True, kw_only=True)
class Rest:
    """An operator after its start."""

    operator: OperatorProcess
    seconds: float
    """From the start of the process to its first launch."""
    kilobytes: float
    peak: float


def measure_finished(folder: Path) -> list[Figure]:
    """Memory for each finished PaperJob with its Job and Pod; beside it the time to start."""
    with site(folder, QUEUES) as place, test_node(place, folder):
        few, many = asyncio.run(_finished(place))
    return [
        Figure(
            name=f"operator's memory for each of {MANY:,} finished PaperJobs with Job and Pod",
            unit="KB",
            value=(many.kilobytes - few.kilobytes) / (MANY - FEW),
            target=Target(20),
            details={"residentMb": _by_count(few, many), "peakMb": {FEW: few.peak / 1000, MANY: many.peak / 1000}},
        ),
        Figure(
            name=f"operator's start -> first new claim, {MANY:,} finished PaperJobs",
            unit="s",
            value=many.seconds,
            baseline_name=f"the same with {FEW} finished PaperJobs",
            baseline=few.seconds,
        ),
    ]


def measure_waiting(folder: Path) -> list[Figure]:
    """Memory with many waiting jobs, and the time to start."""
    with site(folder, [BACKLOG]) as place:
        few, same, many = asyncio.run(_waiting(place))
    return [
        Figure(
            name=f"operator's memory with {MANY_WAIT:,} waiting jobs",
            unit="MB",
            value=max(same, many.kilobytes) / 1000,
            baseline_name=f"the same operator with {FEW_WAIT:,} waiting jobs",
            baseline=few.kilobytes / 1000,
            target=Target(1.05, Of.RATIO),
            details={"sameProcessMb": same / 1000, "startedAnewMb": many.kilobytes / 1000},
        ),
        Figure(
            name=f"operator's start -> first new claim, {MANY_WAIT:,} waiting jobs",
            unit="s",
            value=many.seconds,
            baseline_name=f"the same with {FEW_WAIT:,} waiting jobs",
            baseline=few.seconds,
        ),
    ]


async def _finished(place: Site) -> tuple[Rest, Rest]:
    async with stock_process(node(), install_webapp(), place.valkey_port) as producer:
        originals = await _originals(place, producer)
        rests, there = [], len(originals)
        for count in (FEW, MANY):
            part = (count - there) // len(originals)
            copies = [
                copy for one in originals for copy in one.copies(f"copy-{there + number}" for number in range(part))
            ]
            put_into_cluster(place.cluster, copies)
            there = count
            await producer.add(QUEUES[0]["spec"]["queue"], {})
            rest = await _start(place)
            rests.append(rest)
            rest.operator.stop()
    return rests[0], rests[1]


async def _originals(place: Site, producer: StockProcess) -> list[Original]:
    """A finished job of each queue."""
    operator = installed(place).operator
    originals = []
    for queue in QUEUES:
        name = queue["metadata"]["name"]
        await producer.add(name, {}, jobId=f"{ORIGINAL}-{name}")
    path = "jsonpath={.items[*].status.phase} {.items[*].status.conditions[0].type}"

    def ended() -> bool:
        paperjobs = place.cluster.kubectl("-n", place.namespace, "get", "paperjobs", "-o", path).split()
        jobs = place.cluster.kubectl(
            "-n", place.namespace, "get", "jobs", "-o", "jsonpath={.items[*].status.succeeded}"
        )
        return paperjobs.count("Completed") == len(QUEUES) and len(jobs.split()) == len(QUEUES)

    await asyncio.to_thread(until, ended, 30)
    operator.stop()
    for queue in QUEUES:
        settings = settings_of(queue)
        job_id = f"{ORIGINAL}-{settings.name}"
        originals.append(original(place.cluster, place.valkey_port, place.namespace, settings, job_id))
    return originals


async def _waiting(place: Site) -> tuple[Rest, float, Rest]:
    settings = settings_of(BACKLOG)
    await asyncio.to_thread(fill_waiting, place.valkey_port, settings, FEW_WAIT)
    few = await _start(place)
    await asyncio.to_thread(fill_waiting, place.valkey_port, settings, MANY_WAIT)
    await asyncio.sleep(REST_SECONDS)
    same = resident_memory(few.operator.process.pid)
    few.operator.stop()
    _give_more_room(place)
    many = await _start(place)
    return few, same, many


def _give_more_room(place: Site) -> None:
    patch = '{"spec": {"concurrency": 2}}'
    place.cluster.kubectl("-n", place.namespace, "patch", "paperqueue", "backlog", "--type=merge", "-p", patch)


async def _start(place: Site) -> Rest:
    begun = time.monotonic()
    operator = place.start()
    seconds = await first_launch(operator, since=begun)
    await asyncio.sleep(REST_SECONDS)
    pid = operator.process.pid
    return Rest(operator=operator, seconds=seconds, kilobytes=resident_memory(pid), peak=peak_memory(pid))


def _by_count(few: Rest, many: Rest) -> Mapping[int, Any]:
    return {FEW: few.kilobytes / 1000, MANY: many.kilobytes / 1000}
