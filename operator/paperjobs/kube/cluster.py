"""The engine's `Cluster` on Kubernetes. Reads come from memory, kept current by watches; writes are few.

The life of a job from Redis is five writes: its PaperJob, its Job, the status "running", the status "ended", and the
deletion of the PaperJob, which takes the Job along.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from paperjobs.kube.api import JOBS, PAPERJOBS, PAPERQUEUES, AlreadyExists, Api, Json, NotFound, Refused
from paperjobs.kube.manifest import Owner, job_manifest
from paperjobs.kube.names import HAND_MADE
from paperjobs.kube.objects import Objects
from paperjobs.kube.paperjob import job_id, paperjob_manifest, paperjob_status, paperjob_view
from paperjobs.kube.paperqueue import served_status
from paperjobs.kube.runcache import RunCache
from paperjobs.kube.statuswriter import StatusWriter
from paperjobs.kube.text import bounded_id
from paperjobs.model import (
    Job,
    JobStatus,
    PaperJobView,
    QueueSettings,
    QueueStatus,
    Run,
    RunPhase,
    paperjob_name,
)


class KubernetesCluster:
    """One namespace of a Kubernetes cluster."""

    def __init__(
        self, *, api: Api, objects: Objects, runs: RunCache, statuses: StatusWriter, now: Callable[[], int]
    ) -> None:
        """`now` gives Unix milliseconds, for what people are shown."""
        self._api = api
        self._objects = objects
        self._runs = runs
        self._statuses = statuses
        self._now = now

    def runs(self, queue: QueueSettings) -> Sequence[Run]:
        return self._runs.runs(queue.name)

    async def launch(self, queue: QueueSettings, job: Job, name: str) -> None:
        owner = await self._owner(queue, job)
        if owner is None:
            return  # Cancelled while it waited: the engine finds neither a run nor a PaperJob, and ends the job.
        # The name belongs to this claim alone: if it exists, an earlier try got through.
        with contextlib.suppress(AlreadyExists):
            await self._api.create(JOBS, job_manifest(queue, job, name, owner))
        run = Run(
            name=name,
            job_id=job.id,
            claim=job.claim.number,
            attempt=job.attempts_made + 1,
            phase=RunPhase.PENDING,
            created_at=self._now(),
        )
        self._runs.launched(queue.name, run)

    async def run_exists(self, queue: QueueSettings, name: str) -> bool:
        return await self._api.get(JOBS, name) is not None

    async def remove(self, queue: QueueSettings, name: str) -> None:
        # In the foreground: the Job stays visible, and its slot taken, until its pod is gone.
        await self._api.delete(JOBS, name, "Foreground")

    def paperjobs(self, queue: QueueSettings) -> Sequence[PaperJobView]:
        bodies = self._objects.of(PAPERJOBS).values()
        return [paperjob_view(body) for body in bodies if body["spec"]["queue"] == queue.name]

    async def paperjob_exists(self, queue: QueueSettings, job_id: str) -> bool:
        known = self._known(queue, job_id)
        name = known["metadata"]["name"] if known is not None else paperjob_name(queue, job_id)
        body = await self._api.get(PAPERJOBS, name)
        if body is not None:
            return _shows(body, queue, job_id)
        return HAND_MADE.fullmatch(job_id) is not None and await self._made_by_hand(queue, job_id) is not None

    async def show_job(self, queue: QueueSettings, paperjob: PaperJobView, status: JobStatus) -> None:
        body = self._objects.of(PAPERJOBS).get(paperjob.name)
        if body is None:
            return
        wanted = paperjob_status(body, status, self._now())
        if is_shown(body, wanted):
            return
        try:
            self._objects.saw(PAPERJOBS, await self._api.patch_status(PAPERJOBS, paperjob.name, wanted))
        except NotFound:
            return  # Deleted meanwhile; the watch is about to say so.

    async def forget_job(self, queue: QueueSettings, paperjob: PaperJobView) -> None:
        await self._api.delete(PAPERJOBS, paperjob.name)
        body = self._objects.of(PAPERJOBS).get(paperjob.name)
        if body is not None:
            self._objects.saw(PAPERJOBS, body, deleted=True)  # The next tick may come before the watch.

    async def show_queue(self, queue: QueueSettings, status: QueueStatus) -> None:
        body = self._objects.of(PAPERQUEUES).get(queue.name)
        if body is not None:
            self._statuses.show(PAPERQUEUES, queue.name, served_status(body, status, self._now()))

    async def _owner(self, queue: QueueSettings, job: Job) -> Owner | None:
        """The PaperJob that shows the job: known, made by an earlier attempt, or made now. None when it was made by
        hand and is gone."""
        body = self._known(queue, job.id)
        if body is None and HAND_MADE.fullmatch(job.id):
            body = await self._made_by_hand(queue, job.id)
            if body is None:
                return None
        if body is None:
            body = await self._create_paperjob(queue, job)
            self._objects.saw(PAPERJOBS, body)
        return Owner(name=body["metadata"]["name"], uid=body["metadata"]["uid"])

    async def _create_paperjob(self, queue: QueueSettings, job: Job) -> Json:
        manifest = paperjob_manifest(queue, job)
        try:
            return await self._api.create(PAPERJOBS, manifest)
        except AlreadyExists:
            name = manifest["metadata"]["name"]
            body = await self._api.get(PAPERJOBS, name)
            if body is None or not _shows(body, queue, job.id):
                raise Refused(f"a PaperJob {name} exists that shows another job; delete it") from None
            return body

    def _known(self, queue: QueueSettings, wanted: str) -> Json | None:
        bodies = self._objects.of(PAPERJOBS)
        usual = bodies.get(paperjob_name(queue, wanted))
        candidates = [usual] if usual is not None else bodies.values()
        return next((body for body in candidates if _shows(body, queue, wanted)), None)

    async def _made_by_hand(self, queue: QueueSettings, wanted: str) -> Json | None:
        """Objects cannot be asked for by uid, so all are listed; only when memory does not know the object."""
        async for page in self._api.pages(PAPERJOBS):
            for body in page["items"]:
                if _shows(body, queue, wanted):
                    return dict(body)
        return None


def is_shown(body: Json, wanted: Mapping[str, Any]) -> bool:
    """Whether a merge patch of the status would change nothing."""
    status = body.get("status") or {}
    return all(status.get(name) == value for name, value in wanted.items())


def _shows(body: Json, queue: QueueSettings, wanted: str) -> bool:
    alive = not body["metadata"].get("deletionTimestamp")
    return alive and body["spec"]["queue"] == queue.name and job_id(body) == bounded_id(wanted)
