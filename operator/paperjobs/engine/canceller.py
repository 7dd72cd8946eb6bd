"""Cancelling, the acting half: ends runs, and fails jobs as a BullMQ worker does with an UnrecoverableError."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from paperjobs.engine.cancel import Cancellation, CancelWaiting, FinishCancelled, StopRun
from paperjobs.engine.observer import EngineObserver
from paperjobs.model import CancelRequest, Claim, Outcome, OutcomeKind, QueueSettings
from paperjobs.ports import Cluster, JobQueue


@dataclass(frozen=True, kw_only=True)
class Canceller:
    """Carries out the cancellations of one queue."""

    queue: JobQueue
    cluster: Cluster
    observer: EngineObserver

    async def carry_out(self, settings: QueueSettings, cancellation: Cancellation) -> None:
        """One step. Raises the ports' errors; the request stays until the job has ended."""
        match cancellation:
            case StopRun(run=run):
                await self.cluster.remove(settings, run.name)
            case FinishCancelled(job=job, request=request, name=name, run=run):
                if run is None and await self.cluster.run_exists(settings, name):
                    return  # The cache is behind: the next tick sees the run and ends it.
                if not job.launched:
                    # A crash may have come before the next iteration of a scheduler's job was added; reading adds it.
                    await self.queue.load(job.id, job.claim)
                await self._finish(settings, request, job.claim, name)
            case CancelWaiting(request=request):
                taken = await self.queue.take(request.job_id, settings.lock_ms)
                if taken is not None:
                    await self._finish(settings, request, taken.claim, None)
            case _:
                assert_never(cancellation)

    async def _finish(self, settings: QueueSettings, request: CancelRequest, claim: Claim, run: str | None) -> None:
        outcome = Outcome(kind=OutcomeKind.NEVER, reason="Cancelled", message=request.message)
        if await self.queue.finish(request.job_id, claim, outcome):
            self.observer.cancelled(settings, request, run)
            await self.queue.drop_cancel(request.job_id)
