"""Step 2 of a tick: make runs and claims agree. Every step may be repeated, and may be cut short anywhere."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from paperjobs.engine.cancel import CancelWaiting, FinishCancelled, StopRun
from paperjobs.engine.canceller import Canceller
from paperjobs.engine.decide import (
    Finish,
    JobSettlement,
    Launch,
    Overdue,
    Record,
    Relock,
    Remove,
    ReturnAbandoned,
    Settlement,
    Unshown,
    Vanished,
)
from paperjobs.engine.launch import CANCELLED, Launcher
from paperjobs.engine.observer import EngineObserver
from paperjobs.engine.sidebyside import side_by_side
from paperjobs.errors import PaperJobsError, RedisRefused
from paperjobs.model import ActiveJob, CancelRequest, Outcome, OutcomeKind, QueueSettings, Run
from paperjobs.ports import Cluster, JobQueue

DEFAULT_HOLD_MS: Final = 30_000
"""A hold when the external service did not say how long: arXiv's own advice for a missing Retry-After."""

MAX_HOLD_MS: Final = 3_600_000
"""An hour: a longer Retry-After is more likely wrong than meant."""

log = logging.getLogger(__name__)

RUN_DELETED: Final = Outcome(
    kind=OutcomeKind.DISRUPTED, reason="RunDeleted", message="the run was deleted while it was active"
)


@dataclass(frozen=True, kw_only=True)
class Settler:
    """Executes settle decisions on one queue."""

    queue: JobQueue
    cluster: Cluster
    launcher: Launcher
    canceller: Canceller
    observer: EngineObserver

    async def settle_all(self, settings: QueueSettings, decisions: Sequence[Settlement]) -> None:
        """Carry out decisions, side by side but for those about one job. One unreadable job does not stop the others.

        Raises the first error that concerns them all.
        """
        chains: dict[str, list[JobSettlement]] = {}
        for decision in decisions:
            if not isinstance(decision, ReturnAbandoned):
                chains.setdefault(_subject(decision), []).append(decision)

        async def carry_out(chain: list[JobSettlement]) -> None:
            for decision in chain:
                await self.settle(settings, decision)

        results = await side_by_side(map(carry_out, chains.values()))
        for job_id, result in zip(chains, results, strict=True):
            if isinstance(result, RedisRefused):
                log.error(
                    "A job cannot be settled and keeps its slot; remove it from the queue: %s",
                    result,
                    extra={"action": "settle_refused", "queue": settings.queue, "job": job_id},
                )
            elif isinstance(result, PaperJobsError) or (result is not None and not isinstance(result, Exception)):
                raise result
            elif result is not None:
                log.error(
                    "Settling one job failed in a way that nobody foresaw; the others go on",
                    exc_info=result,
                    extra={"action": "settle_failed", "queue": settings.queue, "job": job_id},
                )
        # Last: BullMQ's check must find our own lost locks back in their place.
        if ReturnAbandoned() in decisions:
            await self.queue.return_abandoned()

    async def settle(self, settings: QueueSettings, decision: JobSettlement) -> None:  # noqa: PLR0912  # one for each
        """Carry out one decision. Raises the ports' errors; what was done before stays done."""
        match decision:
            case Relock(job=job):
                await self.queue.relock(job.id, job.claim, settings.lock_ms)
            case Finish(job=job, run=run, outcome=outcome):
                if outcome.kind is OutcomeKind.RATE_LIMITED:
                    # Before the job is back in its queue, so that nothing slips through.
                    await self._hold(settings, run, outcome)
                if await self.queue.finish(job.id, job.claim, outcome):
                    self.observer.settled(settings, run, outcome)
            case Launch(job=job, run=name):
                await self._relaunch(settings, job, name)
            case Record(job=job):
                await self.queue.record_launch(job.id, job.claim)
            case Vanished(job=job, run=name):
                await self._explain_absence(settings, job, name)
            case Unshown(job=job, run=name):
                if not await self.cluster.paperjob_exists(settings, job.id):
                    # Once it is gone, its absence is explained as a cancellation.
                    await self.cluster.remove(settings, name)
            case Overdue(run=run, outcome=outcome):
                await self.cluster.give_up(settings, run.name, outcome)
            case Remove(run=run):
                await self.cluster.remove(settings, run.name)
            case StopRun() | FinishCancelled() | CancelWaiting():
                await self.canceller.carry_out(settings, decision)
            case _:
                assert_never(decision)

    async def _hold(self, settings: QueueSettings, run: Run, outcome: Outcome) -> None:
        """Hold the budget of the service that asked to wait, unless the run did; without a budget, hold the queue."""
        asked = DEFAULT_HOLD_MS if outcome.retry_after_ms is None else outcome.retry_after_ms
        duration_ms = min(max(asked, 1), MAX_HOLD_MS)
        budget = next((budget for budget in settings.budgets if budget.name == outcome.budget), None)
        if budget is None:
            await self.queue.hold(duration_ms)
        elif not outcome.budget_held:
            await self.queue.hold_budget(budget, duration_ms, run.name)

    async def _relaunch(self, settings: QueueSettings, active: ActiveJob, name: str) -> None:
        job = await self.queue.load(active.id, active.claim)
        # The start that was reserved with the claim may be long ago: it is the launch that must keep to the window.
        if job is not None and await self.queue.reserve(job.claim.token, settings.rate_limit) is None:
            await self.launcher.launch(settings, job, name)

    async def _explain_absence(self, settings: QueueSettings, job: ActiveJob, name: str) -> None:
        if await self.cluster.run_exists(settings, name):
            return
        if await self.cluster.paperjob_exists(settings, job.id):
            await self.queue.finish(job.id, job.claim, RUN_DELETED)
        elif await self.queue.finish(job.id, job.claim, CANCELLED):
            self.observer.cancelled(settings, CancelRequest(job_id=job.id, message=CANCELLED.message), name)


def _subject(decision: JobSettlement) -> str:
    """The id of the job that a decision is about."""
    match decision:
        case Remove(run=run) | StopRun(run=run):
            return run.job_id
        case CancelWaiting(request=request):
            return request.job_id
        case _:
            return decision.job.id
