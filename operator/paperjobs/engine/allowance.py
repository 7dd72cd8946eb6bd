"""How long a run may go on, and what its end then means. Pure.

Ages are measured on the clock that stamped them, the cluster's (`Cluster.now`): how far it is from Redis' clock, or
from this machine's, does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from paperjobs.model import HELD_BACK, POD_REFUSED, Outcome, OutcomeKind, Run, RunPhase, TimeLimits
from paperjobs.outcome import deadline_exceeded

REPORT_MARGIN_MS: Final = 5_000
"""A runner that keeps its time limit itself gets so much longer to say what it was doing."""

DETAIL_LIMIT: Final = 500
"""Characters taken over from the cluster's own messages."""


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """A run may go on until an instant (ms, the cluster's clock); the outcome when it has not ended by then."""

    until: int
    outcome: Outcome


def allowance(run: Run) -> Allowance | None:
    """The time limit that a run meets next; None when nothing is to end it."""
    if run.limits is None or run.waiting_for == HELD_BACK:
        return None
    if run.phase is RunPhase.PENDING:
        return _until_it_starts(run, run.limits)
    if run.phase is RunPhase.RUNNING and run.started_at is not None:
        # A node's clock may be behind the API server's: a run cannot have started before it was made.
        since = max(run.started_at, run.created_at)
        return Allowance(
            until=since + run.limits.run_s * 1000 + REPORT_MARGIN_MS, outcome=deadline_exceeded(run.limits.run_s)
        )
    return None


def _until_it_starts(run: Run, limits: TimeLimits) -> Allowance:
    start = Allowance(until=run.created_at + limits.start_s * 1000, outcome=_never_started(run, limits.start_s))
    if run.faulty_since is None:
        return start
    fault = Allowance(until=run.faulty_since + limits.fault_s * 1000, outcome=_faulty(run, limits.fault_s))
    return min(start, fault, key=lambda limit: limit.until)


def _never_started(run: Run, seconds: int) -> Outcome:
    sentence = f"the run's pod did not start within {seconds} s, its queue's startTimeout"
    if run.waiting_for == POD_REFUSED:
        return Outcome(kind=OutcomeKind.NEVER_RAN, reason=POD_REFUSED, message=f"{sentence}: {_detail(run)}")
    if run.waiting_for:
        return Outcome(kind=OutcomeKind.FAILED, reason=run.waiting_for, message=f"{sentence}: {_detail(run)}")
    message = f"{sentence}; if starting takes longer, raise spec.startTimeout"
    return Outcome(kind=OutcomeKind.FAILED, reason="DeadlineExceeded", message=message)


def _faulty(run: Run, seconds: int) -> Outcome:
    message = f"the run's pod could not start for {seconds} s, its queue's imageGrace: {_detail(run)}"
    return Outcome(kind=OutcomeKind.FAILED, reason=run.waiting_for, message=message)


def _detail(run: Run) -> str:
    return ": ".join(part for part in (run.waiting_for, run.waiting_message[:DETAIL_LIMIT]) if part)
