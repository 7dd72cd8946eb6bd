"""Cancelling, the pure half: what to do about each job that somebody wants cancelled.

A request stays until its job has ended, so each of these steps may be repeated or cut short. The end that counts is
the one in BullMQ: a run that is done before it can be stopped has completed its job, and nobody takes that back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from paperjobs.model import ActiveJob, CancelRequest, OutcomeKind, QueueState, Run, RunPhase

AT_ONCE: Final = 100
"""Waiting jobs cancelled in one tick, so that a long list does not keep the queue from starting others."""


@dataclass(frozen=True, kw_only=True)
class StopRun:
    """The job's run is live: end it. The slot stays taken until its pod is gone, and so does the request."""

    run: Run


@dataclass(frozen=True, kw_only=True)
class FinishCancelled:
    """The job is claimed, and no run of it is live: fail it for good."""

    job: ActiveJob
    request: CancelRequest
    name: str
    """The name that the claim's run has, if there is one."""
    run: Run | None
    """The run that has ended; None when none is in the cache, which may be late: ask the source."""


@dataclass(frozen=True, kw_only=True)
class CancelWaiting:
    """The job is not active: take it out of its queue and fail it for good. If it has ended, drop the request."""

    request: CancelRequest


Cancellation = StopRun | FinishCancelled | CancelWaiting


def cancel_active(
    job: ActiveJob, request: CancelRequest, name: str, run: Run | None
) -> StopRun | FinishCancelled | None:
    """The next step for an active job of ours; None when there is none: its run is leaving, or ended in a way that
    stands."""
    if run is None or not run.live:
        if run is not None and run.outcome is not None and _stands(run.outcome.kind):
            return None
        return FinishCancelled(job=job, request=request, name=name, run=run)
    return None if run.phase is RunPhase.TERMINATING else StopRun(run=run)


def cancel_waiting(state: QueueState) -> list[CancelWaiting]:
    """The requests about jobs that are not active. One that a BullMQ worker of another kind runs is left to it, and
    cancelled should it come back to the queue."""
    active = {job.id for job in state.active}
    return [CancelWaiting(request=request) for request in state.cancels if request.job_id not in active]


def _stands(kind: OutcomeKind) -> bool:
    """Whether a run's outcome ends its job anyway; any other would have the job run again."""
    return kind in (OutcomeKind.COMPLETED, OutcomeKind.NEVER)
