"""Figure: jobs a second through the operator: claim, PaperJob, Job, running, finished, stored in BullMQ, and deleted.

Baseline: the same API writes sent by a client that does nothing else, at the concurrency that is best for it, on the
same API server, with the same controllers and the same node. That node starts no programs, and all its pods run equally
long; so what is left between the two is the operator's own work.

Both are timed from the start to the last write: all jobs ended, all PaperJobs show it, and only the history is left.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from statistics import median
from typing import Final

import redis.asyncio

from bench.api_requests import WRITES, operator_requests, readable, total
from bench.bareclient import BareClient, bare_client
from bench.fakenode import fake_node
from bench.figure import Figure
from bench.installation import Installation, bench_queue, installed, site
from bench.machine import cpu_seconds
from bench.stock import StockProcess, stock_process
from bench.target import Of, Target
from support.kubeapi import KubeApi, kube_api
from support.kubeconfig import read_kubeconfig
from support.node_project import install_webapp
from support.tools import node

QUEUE: Final = "bench"
JOBS: Final = 200
WARM_UP: Final = 60
ROUNDS: Final = 3
RUN_SECONDS: Final = 1.0
"""How long a pod runs: long enough that "running" is shown."""
CONCURRENCY: Final = 50
"""More slots than the API server can keep busy."""
TOGETHER: Final = (20, 50)
"""Lives at a time of the bare client, the best of which counts."""
KEPT: Final = 20
SECONDS: Final = 120
"""Longest time one round may take."""


def measure(folder: Path) -> list[Figure]:
    """Two figures: the rate, and what a job costs the operator's own CPU."""
    queues = [bench_queue(QUEUE, concurrency=CONCURRENCY, keep=KEPT)]
    with site(folder, queues) as place, fake_node(place.cluster.kubeconfig, seconds=RUN_SECONDS):
        return asyncio.run(_measure(installed(place)))


async def _measure(parts: Installation) -> list[Figure]:
    ours = list[float]()
    bare: dict[int, list[float]] = {together: [] for together in TOGETHER}
    async with (
        stock_process(node(), install_webapp(), parts.valkey_port) as producer,
        kube_api(read_kubeconfig(parts.cluster.kubeconfig)) as api,
        bare_client(parts.cluster) as client,
    ):
        await client.lives(WARM_UP, together=TOGETHER[-1], keep=KEPT)
        await _through_operator(parts, producer, api, WARM_UP)
        before = operator_requests(parts.operator)
        busy = 0.0
        for _ in range(ROUNDS):
            for together, rates in bare.items():
                rates.append(await _through_bare_client(client, together))
            begun = cpu_seconds(parts.operator.process.pid)
            ours.append(await _through_operator(parts, producer, api, JOBS))
            busy += cpu_seconds(parts.operator.process.pid) - begun
        sent = operator_requests(parts.operator)
    sent.subtract(before)
    best = max(bare, key=lambda together: median(bare[together]))
    writes = total(sent, verbs=WRITES, without={"leases", "paperqueues"})
    return [
        Figure(
            name="jobs through claim, PaperJob, Job, running, finished, stored, deleted",
            unit="jobs/s",
            value=median(ours),
            baseline_name="the same API writes by a bare client at its best concurrency, with all else the same",
            baseline=median(bare[best]),
            target=Target(0.7, Of.RATIO, at_least=True),
            details={
                "jobsPerRound": JOBS,
                "ours": [round(rate, 1) for rate in ours],
                "bareByLivesAtATime": {str(one): [round(rate, 1) for rate in rates] for one, rates in bare.items()},
                "writesPerJob": round(writes / (JOBS * ROUNDS), 2),
                "writes": {name: number for name, number in readable(sent).items() if name.split()[0] in WRITES},
            },
        ),
        Figure(name="operator's own CPU for one job", unit="ms", value=1000 * busy / (JOBS * ROUNDS)),
    ]


async def _through_bare_client(client: BareClient, together: int) -> float:
    async with asyncio.timeout(SECONDS):
        return JOBS / await client.lives(JOBS, together=together, keep=KEPT)


async def _through_operator(parts: Installation, producer: StockProcess, api: KubeApi, jobs: int) -> float:
    """Jobs a second, from the first queue.add to the last write."""
    async with (
        redis.asyncio.Redis(host="127.0.0.1", port=parts.valkey_port) as client,
        asyncio.timeout(SECONDS),
    ):
        wanted = await client.zcard(f"bull:{QUEUE}:completed") + jobs
        begun = time.monotonic()
        await asyncio.gather(*(producer.add(QUEUE, {}) for _ in range(jobs)))
        while await client.zcard(f"bull:{QUEUE}:completed") < wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        path = f"/apis/paperjobs.dev/v1alpha1/namespaces/{parts.namespace}/paperjobs"
        while True:
            shown = [one.get("status", {}).get("phase") for one in (await api.request("GET", path))["items"]]
            if shown == ["Completed"] * KEPT:
                return jobs / (time.monotonic() - begun)
            await asyncio.sleep(0.05)
