"""The baseline's client: it sends the API writes that the operator sends, and does nothing else.

No Redis, no limits, no history to look through: what a program that knew everything beforehand would do. Its objects
are made by the operator's own manifests, in a namespace that no operator serves.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from bench.installation import new_namespace
from bench.runwatch import ENDED, RUNNING, RunWatch, run_watch
from paperjobs.kube.manifest import Owner, job_manifest
from paperjobs.kube.paperjob import paperjob_manifest, paperjob_status
from paperjobs.model import Claim, Job, JobPhase, JobStatus, QueueSettings, RunnerTemplate
from support.controlplane import ControlPlane
from support.kubeapi import KubeApi, kube_api
from support.kubeconfig import read_kubeconfig
from support.scripted_run import SCRIPTED_IMAGE

SETTINGS: Final = QueueSettings(
    name="bare", queue="bare", pipeline="bare", concurrency=1, template=RunnerTemplate(image=SCRIPTED_IMAGE)
)


class BareClient:
    """Made by `bare_client`."""

    def __init__(self, api: KubeApi, namespace: str, seen: RunWatch) -> None:
        self.seen: Final = seen
        self._api = api
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._paperjobs = f"/apis/paperjobs.dev/v1alpha1/namespaces/{namespace}/paperjobs"
        self._numbers = itertools.count(1)

    async def lives(self, count: int, *, together: int, keep: int) -> float:
        """So many jobs' whole lives, so many at a time: PaperJob, Job, "running", "completed", and the deletion of each
        PaperJob when `keep` newer ones have ended. Returns the seconds that they took."""
        left, ended, begun = count, deque[str](), time.monotonic()

        async def slot() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                ended.append(await self._life())
                if len(ended) > keep:
                    await self._api.request("DELETE", f"{self._paperjobs}/{ended.popleft()}")

        await asyncio.gather(*(slot() for _ in range(together)))
        return time.monotonic() - begun

    async def back_to_back(self, rounds: int, *, together: int, data: Mapping[str, Any]) -> None:
        """Jobs alone, so many in each slot: the next is created as soon as the pod of the one before is seen to end."""

        async def slot() -> None:
            for _ in range(rounds):
                job = self._job(data)
                manifest = job_manifest(SETTINGS, job, f"bare-{job.id}", Owner(name="nobody", uid=""))
                del manifest["metadata"]["ownerReferences"]
                await self._api.request("POST", self._jobs, manifest)
                await self.seen.reaches(manifest["metadata"]["name"], ENDED)

        await asyncio.gather(*(slot() for _ in range(together)))

    async def _life(self) -> str:
        job = self._job({})
        paperjob = await self._api.request("POST", self._paperjobs, paperjob_manifest(SETTINGS, job))
        name, run = paperjob["metadata"]["name"], f"bare-{job.id}"
        owner = Owner(name=name, uid=paperjob["metadata"]["uid"])
        await self._api.request("POST", self._jobs, job_manifest(SETTINGS, job, run, owner))
        await self.seen.reaches(run, RUNNING)
        await self._show(paperjob, JobPhase.RUNNING, job.id, run)
        await self.seen.reaches(run, ENDED)
        await self._show(paperjob, JobPhase.COMPLETED, job.id, run)
        return str(name)

    async def _show(self, body: Mapping[str, Any], phase: JobPhase, job_id: str, run: str) -> None:
        now = time.time_ns() // 1_000_000
        status = JobStatus(phase=phase, job_id=job_id, attempt=1, run=run, started_at=now, reason=phase.value)
        path = f"{self._paperjobs}/{body['metadata']['name']}/status"
        await self._api.request("PATCH", path, {"status": paperjob_status(body, status, now)}, patch="merge-patch")

    def _job(self, data: Mapping[str, Any]) -> Job:
        claim = Claim(number=1, token=uuid.uuid4().hex)
        return Job(id=str(next(self._numbers)), name="paper", claim=claim, attempts_made=0, data=json.dumps(dict(data)))


@asynccontextmanager
async def bare_client(cluster: ControlPlane) -> AsyncIterator[BareClient]:
    """A client with an administrator's rights in a new namespace."""
    namespace = f"bare-{uuid.uuid4().hex[:8]}"
    await asyncio.to_thread(new_namespace, cluster, namespace)
    async with kube_api(read_kubeconfig(cluster.kubeconfig)) as api, run_watch(api, namespace) as seen:
        yield BareClient(api, namespace, seen)
