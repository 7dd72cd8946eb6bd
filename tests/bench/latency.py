"""Figure: `queue.add` in the web app → the Kubernetes Job exists, on an idle system.

Baseline: the least that any such chain can take, a stock BullMQ worker's pick-up plus one bare create of the same Job.
Every round measures the three once, in random order, each after a pause in which everything has come to rest: the run
has ended on the node, its result is in BullMQ, the statuses are written. A Job exists when a raw watch shows it.
"""

from __future__ import annotations

import asyncio
import copy
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.figure import Figure
from bench.installation import Installation, bench_queue, installation, new_namespace
from bench.quantile import percentile, summary
from bench.sightings import JOBS, PAPERJOBS, Sighting, Sightings, sightings
from bench.stages import Stages, stage_recorder
from bench.stock import StockProcess, stock_process
from bench.target import Of, Target
from support.kubeapi import KubeApi, kube_api
from support.kubeconfig import read_kubeconfig
from support.node_project import install_webapp
from support.tools import node

QUEUE: Final = "bench"
STOCK_QUEUE: Final = "stock"
BARE_NAMESPACE: Final = "bench-bare"
"""Out of the operator's sight."""

ROUNDS: Final = 60
WARM_UP: Final = 3
STAGE_ROUNDS: Final = 20
PAUSE_SECONDS: Final = (1.0, 1.4)
"""Longer than the second in which the operator gathers a queue's status."""


@dataclass
class Samples:
    """Seconds."""

    ours: list[float] = field(default_factory=list)
    pick_up: list[float] = field(default_factory=list)
    bare_create: list[float] = field(default_factory=list)

    def baseline(self) -> list[float]:
        """Pick-up and create of the same round, added."""
        return [pick_up + create for pick_up, create in zip(self.pick_up, self.bare_create, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a round needs."""

    producer: StockProcess
    worker: StockProcess
    api: KubeApi
    seen: Sightings
    namespace: str

    async def ours(self) -> tuple[float, float, float, dict[str, Any]]:
        """Queue a job and wait for its end: when add was called, PaperJob and Job were seen; and the Job."""
        job = self.seen.created(JOBS, lambda body: _is_in(self.namespace, body))
        paperjob = self.seen.created(PAPERJOBS, lambda body: _is_in(self.namespace, body))
        added = await self.producer.add(QUEUE, {"seconds": 0})
        async with asyncio.timeout(30):
            shown, created = await paperjob, await job
            name = shown.body["metadata"]["name"]
            await self.seen.changed(PAPERJOBS, lambda body: body["metadata"]["name"] == name and _has_ended(body))
        return added.called_at, shown.at, created.at, created.body

    async def pick_up(self) -> float:
        """Seconds from queue.add to a stock worker's processor."""
        added = await self.producer.add(STOCK_QUEUE, {"seconds": 0})
        return await self.worker.picked(STOCK_QUEUE, added.job_id) - added.called_at

    async def bare_create(self, manifest: Mapping[str, Any], name: str) -> float:
        """Seconds from sending a create to seeing the Job; waits for its end."""
        body = copy.deepcopy(dict(manifest))
        body["metadata"]["name"] = name
        seen: asyncio.Future[Sighting] = self.seen.created(JOBS, lambda one: one["metadata"]["name"] == name)
        over = self.seen.changed(JOBS, lambda one: one["metadata"]["name"] == name and _is_complete(one))
        begun = time.monotonic()
        await self.api.request("POST", f"/apis/batch/v1/namespaces/{BARE_NAMESPACE}/jobs", body)
        async with asyncio.timeout(30):
            await over
        return (await seen).at - begun


def measure(folder: Path) -> list[Figure]:
    """The two figures, p50 and p95."""
    with installation(folder, [bench_queue(QUEUE, concurrency=10)]) as parts:
        new_namespace(parts.cluster, BARE_NAMESPACE)
        samples, stages = asyncio.run(_rounds(parts))
    baseline = samples.baseline()
    details = {
        "queueAddToJobMs": summary(_ms(samples.ours)),
        "stockPickUpMs": summary(_ms(samples.pick_up)),
        "bareCreateMs": summary(_ms(samples.bare_create)),
        "medianStagesMs": stages.medians_ms(),
    }
    return [
        Figure(
            name=f"queue.add -> Job exists, idle, p{mark}",
            unit="ms",
            value=percentile(samples.ours, mark) * 1000,
            baseline_name="stock BullMQ worker's pick-up + one bare Job create, same round",
            baseline=percentile(baseline, mark) * 1000,
            target=Target(2, Of.RATIO) if mark == 95 else None,
            details=details if mark == 95 else {},
        )
        for mark in (50, 95)
    ]


async def _rounds(parts: Installation) -> tuple[Samples, Stages]:
    samples, stages = Samples(), Stages()
    binary, webapp = node(), install_webapp()
    async with (
        stock_process(binary, webapp, parts.valkey_port) as producer,
        stock_process(binary, webapp, parts.valkey_port) as worker,
        kube_api(read_kubeconfig(parts.cluster.kubeconfig)) as api,
        sightings(api, [JOBS, PAPERJOBS]) as seen,
    ):
        bench = Bench(producer=producer, worker=worker, api=api, seen=seen, namespace=parts.namespace)
        await worker.work(STOCK_QUEUE)
        manifest: dict[str, Any] = {}
        for number in range(WARM_UP):
            *_, job = await bench.ours()
            manifest = _bare(job)
            await bench.pick_up()
            await bench.bare_create(manifest, f"warm-up-{number}")
        for number in range(ROUNDS):
            for what in random.sample(("ours", "pick-up", "create"), 3):
                await asyncio.sleep(random.uniform(*PAUSE_SECONDS))
                match what:
                    case "ours":
                        called_at, _, created_at, _ = await bench.ours()
                        samples.ours.append(created_at - called_at)
                    case "pick-up":
                        samples.pick_up.append(await bench.pick_up())
                    case _:
                        samples.bare_create.append(await bench.bare_create(manifest, f"bare-{number}"))
        # Apart, because MONITOR makes Redis slower.
        async with stage_recorder(parts.valkey_port) as recorder:
            for _ in range(STAGE_ROUNDS):
                await asyncio.sleep(random.uniform(*PAUSE_SECONDS))
                recorder.clear()
                called_at, shown_at, created_at, _ = await bench.ours()
                stages.add(recorder.commands, called_at=called_at, paperjob_at=shown_at, job_at=created_at)
    return samples, stages


def _bare(job: Mapping[str, Any]) -> dict[str, Any]:
    """The same Job as somebody without an operator would send it: without an owner and what the server has added."""
    metadata = {name: job["metadata"][name] for name in ("labels", "annotations")}
    spec = {name: value for name, value in job["spec"].items() if name != "selector"}
    spec["template"] = {"metadata": metadata, "spec": job["spec"]["template"]["spec"]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _is_in(namespace: str, body: Mapping[str, Any]) -> bool:
    return bool(body["metadata"]["namespace"] == namespace)


def _has_ended(body: Mapping[str, Any]) -> bool:
    return body.get("status", {}).get("phase") in {"Completed", "Failed"}


def _is_complete(body: Mapping[str, Any]) -> bool:
    return any(one["type"] == "Complete" for one in body.get("status", {}).get("conditions", []))


def _ms(seconds: list[float]) -> list[float]:
    return [one * 1000 for one in seconds]
