"""Figure: `kubectl patch` of a limit → in force.

The queue is full and jobs wait; one more slot is in force when the next Job exists. Measured from the start of kubectl,
whose own time is beside it: nothing of it is ours.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Final

from bench.figure import Figure
from bench.installation import Installation, bench_queue, installed, site
from bench.quantile import percentile, summary
from bench.sightings import JOBS, sightings
from bench.stock import stock_process
from bench.target import Target
from support.kubeapi import kube_api
from support.kubeconfig import read_kubeconfig
from support.node_project import install_webapp
from support.tools import node

QUEUE: Final = "bench"
ROUNDS: Final = 15


def measure(folder: Path) -> list[Figure]:
    """The longest of some edits."""
    with site(folder, [bench_queue(QUEUE, concurrency=1)]) as place:
        whole, kubectl = asyncio.run(_measure(installed(place)))
    return [
        Figure(
            name=f"kubectl patch of the concurrency -> in force, longest of {ROUNDS}",
            unit="s",
            value=max(whole),
            baseline_name="kubectl patch itself, from its start to its end, p50",
            baseline=percentile(kubectl, 50),
            target=Target(1),
            details={"seconds": summary(whole), "kubectlSeconds": summary(kubectl)},
        )
    ]


async def _measure(parts: Installation) -> tuple[list[float], list[float]]:
    whole, kubectl = list[float](), list[float]()
    async with (
        stock_process(node(), install_webapp(), parts.valkey_port) as producer,
        kube_api(read_kubeconfig(parts.cluster.kubeconfig)) as api,
        sightings(api, [JOBS]) as seen,
    ):
        first = seen.created(JOBS, lambda _: True)
        for _ in range(ROUNDS + 2):
            await producer.add(QUEUE, {})
        await first
        for number in range(ROUNDS):
            await asyncio.sleep(1.0)
            more = seen.created(JOBS, lambda _: True)
            begun = time.monotonic()
            await asyncio.to_thread(_patch, parts, number + 2)
            kubectl.append(time.monotonic() - begun)
            async with asyncio.timeout(20):
                whole.append((await more).at - begun)
    return whole, kubectl


def _patch(parts: Installation, concurrency: int) -> None:
    patch = json.dumps({"spec": {"concurrency": concurrency}})
    parts.cluster.kubectl("-n", parts.namespace, "patch", "paperqueue", QUEUE, "--type=merge", "-p", patch)
