"""The engine's `Cluster` on Kubernetes. Reads come from memory, kept current by watches; writes are few.

The life of a job from Redis is five writes: its PaperJob, its Job, the status "running", the status "ended", and the
deletion of the PaperJob, which takes the Job along.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from paperjobs.errors import ClusterUnavailable, PaperJobDeleted
from paperjobs.kube.answers import AlreadyExists, Json, NotFound, Refused
from paperjobs.kube.api import APIBUDGETS, JOBS, PAPERJOBS, PAPERQUEUES, Api
from paperjobs.kube.apibudget import budget_status, worth_showing
from paperjobs.kube.manifest import Owner, job_manifest
from paperjobs.kube.names import HAND_MADE
from paperjobs.kube.objects import Objects
from paperjobs.kube.paperjob import (
    has_summary_of,
    is_final,
    is_of,
    job_id,
    made_by_hand,
    paperjob_manifest,
    paperjob_status,
)
from paperjobs.kube.paperqueue import served_status
from paperjobs.kube.runcache import RunCache
from paperjobs.kube.statuswriter import StatusWriter
from paperjobs.kube.verdict import ending_patch
from paperjobs.model import (
    BudgetUse,
    Claim,
    Job,
    JobStatus,
    Outcome,
    PaperJobView,
    QueueSettings,
    QueueStatus,
    Run,
    RunPhase,
    paperjob_name,
    run_name,
)

REHEARSED: Final = "rehearsal"
REHEARSAL: Final = Job(id=REHEARSED, name=REHEARSED, claim=Claim(number=1, token=REHEARSED), attempts_made=0, data="{}")
NOBODY: Final = Owner(name=REHEARSED, uid=REHEARSED)
"""A job and the owner of its run that do not exist: what a launch is rehearsed with."""

NO_DRY_RUN: Final = "does not support dry run"
"""In the API server's refusal (k8s.io/apiserver pkg/admission/plugin/webhook/errors, NewDryRunUnsupportedErr)."""


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
        self._budget_shown_at: dict[str, int] = {}

    def now(self) -> int:
        return self._api.now()

    def runs(self, queue: QueueSettings) -> Sequence[Run]:
        return self._runs.runs(queue.key)

    async def rehearse(self, queue: QueueSettings) -> None:
        run = run_name(queue, REHEARSAL.id, REHEARSAL.claim)
        try:
            await self._api.rehearse(JOBS, job_manifest(queue, REHEARSAL, run, NOBODY))
        except Refused as refused:
            # What an admission webhook says that cannot rehearse (its sideEffects): a real launch has to show.
            if NO_DRY_RUN not in str(refused):
                raise

    async def launch(self, queue: QueueSettings, job: Job, name: str) -> None:
        owner = await self._owner(queue, job)
        # The name belongs to this claim alone: if it exists, an earlier try got through.
        try:
            await self._api.create(JOBS, job_manifest(queue, job, name, owner))
        except AlreadyExists:
            pass
        except Refused:
            # A quota is asked before the name is looked at, and what fills it may be this very run: the answer of an
            # earlier try was lost.
            if await self._api.get(JOBS, name) is None:
                raise
        run = Run(
            name=name,
            job_id=job.id,
            claim=job.claim.number,
            token=job.claim.token,
            attempt=job.attempts_made + 1,
            phase=RunPhase.PENDING,
            created_at=self._api.now(),
        )
        self._runs.launched(queue.key, run)
        self._objects.paperjobs.follow(run.job_id, queue.key)

    async def run_exists(self, queue: QueueSettings, name: str) -> bool:
        return await self._api.get(JOBS, name) is not None

    async def give_up(self, queue: QueueSettings, name: str, outcome: Outcome) -> None:
        with contextlib.suppress(NotFound):
            await self._api.patch(JOBS, name, ending_patch(outcome))

    async def remove(self, queue: QueueSettings, name: str) -> None:
        # In the foreground: the Job stays visible, and its slot taken, until its pod is gone.
        await self._api.delete(JOBS, name, "Foreground")

    def paperjobs(self, queue: QueueSettings) -> Sequence[PaperJobView]:
        with contextlib.suppress(ClusterUnavailable):  # Runs are not needed to show what is known already.
            for run in self._runs.runs(queue.key):
                self._objects.paperjobs.follow(run.job_id, queue.key)
        return self._objects.paperjobs.views(queue)

    async def paperjob_exists(self, queue: QueueSettings, job_id: str) -> bool:
        if not HAND_MADE.fullmatch(job_id):
            body = await self._api.get(PAPERJOBS, paperjob_name(queue, job_id))
            return body is not None and is_of(body, queue) and not _is_going(body)
        known = self._objects.paperjobs.by_hand(job_id)
        if known is None:
            return await self._made_by_hand(job_id) is not None
        body = await self._api.get(PAPERJOBS, known["metadata"]["name"])
        return body is not None and _is_made_by_hand(body, job_id)

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
        body = self._objects.of(PAPERJOBS).get(paperjob.name)
        if body is not None:
            await self._delete(body)

    async def show_queue(self, queue: QueueSettings, status: QueueStatus) -> None:
        body = self._objects.of(PAPERQUEUES).get(queue.name)
        if body is not None:
            self._statuses.show(PAPERQUEUES, queue.name, served_status(body, status, self._now()))

    async def show_budgets(self, budgets: Sequence[BudgetUse]) -> None:
        now = self._now()
        for use in budgets:
            body, wanted = self._objects.of(APIBUDGETS).get(use.name), budget_status(use)
            if body is not None and worth_showing(body, wanted, now - self._budget_shown_at.get(use.name, 0)):
                self._statuses.show(APIBUDGETS, use.name, wanted)
                self._budget_shown_at[use.name] = now

    async def _owner(self, queue: QueueSettings, job: Job) -> Owner:
        """The PaperJob that shows the job: made by hand, by an earlier attempt, or now."""
        if HAND_MADE.fullmatch(job.id):
            body = await self._made_by_hand(job.id)
            if body is None:
                raise PaperJobDeleted
        else:
            body = await self._showing(queue, job)
        return Owner(name=body["metadata"]["name"], uid=body["metadata"]["uid"])

    async def _showing(self, queue: QueueSettings, job: Job) -> Json:
        known = self._objects.of(PAPERJOBS).get(paperjob_name(queue, job.id))
        if known is not None and is_of(known, queue) and not is_final(known):
            body = known
        else:  # One that is final is of an earlier life of the job: it may be gone by now, and memory behind.
            body = await self._create_paperjob(queue, job)
        if is_final(body) and not has_summary_of(body, job):
            # Its job is no more: another was added under the same id.
            await self._delete(body)
            body = await self._create_paperjob(queue, job)
        return body

    async def _create_paperjob(self, queue: QueueSettings, job: Job) -> Json:
        manifest = paperjob_manifest(queue, job)
        name = manifest["metadata"]["name"]
        try:
            body = await self._api.create(PAPERJOBS, manifest)
        except Refused as refused:
            # As with the run itself: a quota may be filled by the PaperJob that is there already.
            found = await self._api.get(PAPERJOBS, name)
            if found is None and not isinstance(refused, AlreadyExists):
                raise
            if found is None or _is_going(found):
                raise ClusterUnavailable(f"PaperJob {name} is just being deleted") from None
            if not is_of(found, queue):
                raise Refused(f"a PaperJob {name} exists that shows another job; delete it") from None
            body = found
        self._objects.saw(PAPERJOBS, body)
        return body

    async def _delete(self, body: Json) -> None:
        # By its uid: under the same name there may be another by now.
        await self._api.delete(PAPERJOBS, body["metadata"]["name"], uid=body["metadata"]["uid"])
        self._objects.saw(PAPERJOBS, body, deleted=True)  # The next look may come before the watch.

    async def _made_by_hand(self, job_id: str) -> Json | None:
        """Objects cannot be asked for by uid, so all are listed; only when memory does not know the object."""
        known = self._objects.paperjobs.by_hand(job_id)
        if known is not None:
            return dict(known)
        async for page in self._api.pages(PAPERJOBS):
            for body in page["items"]:
                if _is_made_by_hand(body, job_id):
                    return dict(body)
        return None


def is_shown(body: Json, wanted: Mapping[str, Any]) -> bool:
    """Whether a merge patch of the status would change nothing."""
    status = body.get("status") or {}
    return all(status.get(name) == value for name, value in wanted.items())


def _is_made_by_hand(body: Json, wanted: str) -> bool:
    return made_by_hand(body) and job_id(body) == wanted and not _is_going(body)


def _is_going(body: Json) -> bool:
    return bool(body["metadata"].get("deletionTimestamp"))
