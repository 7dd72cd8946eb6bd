"""From a claimed job to its run. Used for new claims, and again for claims that a crash left without a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from paperjobs.engine.gate import Gate
from paperjobs.engine.observer import EngineObserver
from paperjobs.errors import LaunchRefused, PaperJobDeleted
from paperjobs.model import Job, Outcome, OutcomeKind, QueueSettings
from paperjobs.ports import Cluster, JobQueue

REFUSED_ALONE_MS: Final = 30_000
"""How long a job that is refused on its own stays out of the others' way."""

NAME_LIMIT: Final = 512
"""Bytes of a job's id or name that go into a run's environment. BullMQ's own ids are a few digits or a UUID."""

CANCELLED: Final = Outcome(
    kind=OutcomeKind.NEVER, reason="Cancelled", message="cancelled: the job's PaperJob was deleted"
)


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """Launches claimed jobs of one queue."""

    queue: JobQueue
    cluster: Cluster
    gate: Gate
    observer: EngineObserver

    async def launch(self, settings: QueueSettings, job: Job, run: str) -> bool:
        """Create the run of a claim; False when the job was failed or returned instead, and its start given back.

        Raises ClusterUnavailable or RedisUnavailable: the claim stays, and settling launches it again.
        """
        instead = reason_not_to_run(job) or await self._cancelled(settings, job)
        if instead is None:
            try:
                await self.cluster.launch(settings, job, run)
            except PaperJobDeleted:
                instead = CANCELLED
            except LaunchRefused as refused:
                instead = Outcome(kind=OutcomeKind.NEVER_RAN, reason="LaunchRefused", message=str(refused))
                if not await self.gate.refused(settings, str(refused)):
                    # What is refused although a rehearsal passes may be this job's own fault: it counts as a
                    # disruption, and lets the others pass.
                    instead = replace(instead, kind=OutcomeKind.DISRUPTED, retry_after_ms=REFUSED_ALONE_MS)
        if instead is not None:
            await self.queue.finish(job.id, job.claim, instead)
            await self.queue.unreserve(job.claim.token)
            return False
        self.gate.launched()
        await self.queue.record_launch(job.id, job.claim)
        self.observer.launched(settings, job, run)
        return True

    async def _cancelled(self, settings: QueueSettings, job: Job) -> Outcome | None:
        """A job that had a run before had a PaperJob; if that is gone, somebody cancelled the job while it waited."""
        if job.launched_before and not await self.cluster.paperjob_exists(settings, job.id):
            return CANCELLED
        return None


def reason_not_to_run(job: Job) -> Outcome | None:
    """The outcome of a claimed job that must not or cannot have a run."""
    if job.deferred_failure is not None:
        return Outcome(kind=OutcomeKind.NEVER, reason="DeferredFailure", message=job.deferred_failure)
    if not job.data:
        message = "the job has no data: its hash in Redis was deleted while it waited, or never written; add it again"
        return Outcome(kind=OutcomeKind.NEVER, reason="UnusableJob", message=message)
    for what, text in (("id", job.id), ("name", job.name)):
        if not _fits_environment(text):
            message = f"the job's {what} is not UTF-8 text of at most {NAME_LIMIT} bytes; add the job under another"
            return Outcome(kind=OutcomeKind.NEVER, reason="UnusableJob", message=message)
    return None


def _fits_environment(text: str) -> bool:
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        return False
    return len(encoded) <= NAME_LIMIT and b"\0" not in encoded
