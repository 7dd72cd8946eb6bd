"""Figure: slots in use while a queue of 2 s runs is full.

A slot is in use from the moment at which a run's Job exists until its pod has ended, both as a watch sees them. So the
start of a pod counts as use: that time is the cluster's, and nobody who shares the cluster would have less of it. What
is missing from 1 is ours: from a pod's end to the next Job. The share is taken from the moment at which all slots are
taken for the first time to the last creation of a Job.

Baseline: back-to-back runs, by a client that creates the next Job as soon as it sees a pod end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bench.bareclient import bare_client
from bench.figure import Figure
from bench.installation import Installation, bench_queue, installation
from bench.quantile import summary
from bench.runwatch import ENDED, SeenRun, run_watch
from bench.stock import stock_process
from bench.target import Of, Target
from support.kubeapi import kube_api
from support.kubeconfig import read_kubeconfig
from support.node_project import install_webapp
from support.tools import node

SLOTS: Final = (2, 10)
ROUNDS: Final = 12
"""Runs in each slot."""
RUN_SECONDS: Final = 2
SECONDS: Final = 150
"""Longest time that all of them may take."""


def measure(folder: Path) -> list[Figure]:
    """One figure for each number of slots."""
    with installation(folder, [bench_queue(_queue(slots), concurrency=slots) for slots in SLOTS]) as parts:
        return [asyncio.run(_measure(parts, slots)) for slots in SLOTS]


def share_in_use(runs: Iterable[SeenRun], slots: int) -> float:
    """The part of the slots that was in use, from when all were taken for the first time to the last creation."""
    spans = [(run.created_at, run.phase_at[ENDED]) for run in runs if run.created_at is not None]
    created = sorted(begun for begun, _ in spans)
    first, last = created[slots - 1], created[-1]
    used = sum(max(0.0, min(ended, last) - max(begun, first)) for begun, ended in spans)
    return used / (slots * (last - first))


def gaps(runs: Iterable[SeenRun], slots: int) -> list[float]:
    """Seconds from each pod's end to the Job that took its slot: the n-th end makes room for the n-th Job after the
    first ones."""
    seen = [run for run in runs if run.created_at is not None]
    created = sorted(run.created_at for run in seen if run.created_at is not None)[slots:]
    ended = sorted(run.phase_at[ENDED] for run in seen)
    return [begun - end for begun, end in zip(created, ended, strict=False)]


async def _measure(parts: Installation, slots: int) -> Figure:
    ours = await _through_operator(parts, slots)
    async with bare_client(parts.cluster) as client, asyncio.timeout(SECONDS):
        await client.back_to_back(ROUNDS, together=slots, data={"seconds": RUN_SECONDS})
        bare = list(client.seen.runs.values())
    return Figure(
        name=f"slots in use while a queue of {RUN_SECONDS} s runs is full, concurrency {slots}",
        unit="of 1",
        value=share_in_use(ours, slots),
        baseline_name="back-to-back runs: a bare client creates the next Job when it sees a pod end; in use = from the "
        "Job's creation to its pod's end, so that a pod's start is the cluster's time",
        baseline=share_in_use(bare, slots),
        target=Target(0.97, Of.RATIO, at_least=True),
        details={
            "runs": len(ours),
            "podEndToNextJobMs": summary([gap * 1000 for gap in gaps(ours, slots)]),
            "podEndToNextJobMsBackToBack": summary([gap * 1000 for gap in gaps(bare, slots)]),
        },
    )


async def _through_operator(parts: Installation, slots: int) -> list[SeenRun]:
    async with (
        stock_process(node(), install_webapp(), parts.valkey_port) as producer,
        kube_api(read_kubeconfig(parts.cluster.kubeconfig)) as api,
        run_watch(api, parts.namespace) as seen,
        asyncio.timeout(SECONDS),
    ):
        await asyncio.gather(*(producer.add(_queue(slots), {"seconds": RUN_SECONDS}) for _ in range(slots * ROUNDS)))
        while sum(ENDED in run.phase_at for run in seen.runs.values()) < slots * ROUNDS:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        return list(seen.runs.values())


def _queue(slots: int) -> str:
    return f"bench-{slots}"
