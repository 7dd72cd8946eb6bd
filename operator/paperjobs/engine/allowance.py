"""How long a run may go on, and what its end then means. Pure.

Ages are measured on the clock that stamped them, the cluster's (`Cluster.now`): how far it is from Redis' clock, or
from this machine's, does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, assert_never

from paperjobs.model import HELD_BACK, POD_REFUSED, Outcome, OutcomeKind, Run, RunPhase
from paperjobs.outcome import deadline_exceeded

REPORT_MARGIN_MS: Final = 5_000
"""A runner that keeps its time limit itself gets so much longer to say what it was doing."""

DETAIL_LIMIT: Final = 500
"""Characters taken over from the cluster's own messages."""


class Limit(Enum):
    """Which of a run's limits it meets next."""

    START = "startTimeout"
    FAULT = "imageGrace"
    RUN = "timeout"


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """A run may go on until an instant (ms, the cluster's clock)."""

    until: int
    limit: Limit
    run: Run
    seconds: int
    """How long the limit is."""

    @property
    def outcome(self) -> Outcome:
        """How the run ends if it has not ended by then."""
        match self.limit:
            case Limit.START:
                return _never_started(self.run, self.seconds)
            case Limit.FAULT:
                return _faulty(self.run, self.seconds)
            case Limit.RUN:
                return deadline_exceeded(self.seconds)
            case _:
                assert_never(self.limit)


def allowance(run: Run) -> Allowance | None:
    """The time limit that a run meets next; None when nothing is to end it."""
    limits = run.limits
    if limits is None or run.waiting_for == HELD_BACK:
        return None
    if run.phase is RunPhase.PENDING:
        start = _from(run.created_at, Limit.START, run, limits.start_s)
        if run.faulty_since is None:
            return start
        fault = _from(run.faulty_since, Limit.FAULT, run, limits.fault_s)
        return min(start, fault, key=lambda limit: limit.until)
    if run.phase is RunPhase.RUNNING and run.started_at is not None:
        # A node's clock may be behind the API server's: a run cannot have started before it was made.
        since = max(run.started_at, run.created_at)
        return _from(since + REPORT_MARGIN_MS, Limit.RUN, run, limits.run_s)
    return None


def _from(since: int, limit: Limit, run: Run, seconds: int) -> Allowance:
    return Allowance(until=since + seconds * 1000, limit=limit, run=run, seconds=seconds)


def _never_started(run: Run, seconds: int) -> Outcome:
    sentence = f"the run's pod did not start within {seconds} s, its queue's {Limit.START.value}"
    if run.waiting_for == POD_REFUSED:
        return Outcome(kind=OutcomeKind.NEVER_RAN, reason=POD_REFUSED, message=f"{sentence}: {_detail(run)}")
    if run.waiting_for:
        return Outcome(kind=OutcomeKind.FAILED, reason=run.waiting_for, message=f"{sentence}: {_detail(run)}")
    message = f"{sentence}; if starting takes longer, raise spec.{Limit.START.value}"
    return Outcome(kind=OutcomeKind.FAILED, reason="DeadlineExceeded", message=message)


def _faulty(run: Run, seconds: int) -> Outcome:
    message = f"the run's pod could not start for {seconds} s, its queue's {Limit.FAULT.value}: {_detail(run)}"
    return Outcome(kind=OutcomeKind.FAILED, reason=run.waiting_for, message=message)


def _detail(run: Run) -> str:
    return ": ".join(part for part in (run.waiting_for, run.waiting_message[:DETAIL_LIMIT]) if part)
