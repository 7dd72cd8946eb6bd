"""What to do, decided from one snapshot: pure functions over frozen values, executed elsewhere.

`decide_settle` matches active jobs with runs by the one name that a claim's run can have. `decide_admission` says how
many jobs may start now, or why none may and until when.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from paperjobs.engine.allowance import allowance
from paperjobs.engine.cancel import AT_ONCE, Cancellation, cancel_active, cancel_waiting
from paperjobs.model import (
    POD_REFUSED,
    ActiveJob,
    LockState,
    Outcome,
    QueueSettings,
    QueueState,
    Run,
    RunPhase,
    run_name,
)

SHORTEST_PAUSE_MS: Final = 5
"""Between two ticks that nothing woke: an instant that has passed must not make the loop spin."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One queue as one tick sees it. The runs are read *before* Redis: a run in the list then has a claim that Redis
    knows, unless that claim is over."""

    settings: QueueSettings
    runs: tuple[Run, ...]
    state: QueueState
    cluster_now: int = 0
    """When the runs were read, on the clock that their times are from (ms)."""
    shown: frozenset[str] | None = None
    """Ids of the jobs that have a PaperJob; None where there are no such objects."""


@dataclass(frozen=True, kw_only=True)
class Relock:
    """The job is ours and its lock was lost: put it back before a foreign stalled-check takes the job."""

    job: ActiveJob


@dataclass(frozen=True, kw_only=True)
class Finish:
    """The claim's run has ended: hand its outcome to BullMQ."""

    job: ActiveJob
    run: Run
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Claimed, and no run was ever recorded: the operator died between claim and launch."""

    job: ActiveJob
    run: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """The run exists, and the record of its launch was lost to a crash. Without it, a deleted run would be launched
    again under the same claim."""

    job: ActiveJob


@dataclass(frozen=True, kw_only=True)
class Vanished:
    """Launched, and the run is not in the cache: cancelled, deleted by hand, or the cache is late. Ask the source."""

    job: ActiveJob
    run: str


@dataclass(frozen=True, kw_only=True)
class Unshown:
    """A live run whose PaperJob is not in the cache: somebody deleted it to cancel the job. Ask the source."""

    job: ActiveJob
    run: str


@dataclass(frozen=True, kw_only=True)
class Overdue:
    """A live run whose time is over: end it. It is then seen to end, and finished as any other run, with this
    outcome."""

    job: ActiveJob
    run: Run
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class ReturnAbandoned:
    """Jobs of foreign workers have lost their locks: BullMQ's stalled check gives them back to the queue."""


@dataclass(frozen=True, kw_only=True)
class Remove:
    """A live run whose claim is over."""

    run: Run


JobSettlement = Relock | Finish | Launch | Record | Vanished | Unshown | Overdue | Remove | Cancellation
Settlement = JobSettlement | ReturnAbandoned


def decide_settle(snapshot: Snapshot) -> list[Settlement]:
    """Everything that makes runs and claims agree, in the order in which it is to be done."""
    runs = {run.name: run for run in snapshot.runs}
    requests = {request.job_id: request for request in snapshot.state.cancels}
    decisions: list[Settlement] = []
    claimed = set[str]()
    for job in snapshot.state.active:
        if not job.ours:
            continue
        name = run_name(snapshot.settings, job.id, job.claim)
        claimed.add(name)
        if job.lock is LockState.LOST:
            decisions.append(Relock(job=job))
        run = runs.get(name)
        request = requests.get(job.id)
        cancellation = cancel_active(job, request, name, run) if request is not None else None
        if cancellation is not None:
            decisions.append(cancellation)
        elif run is None:
            decisions.append(Vanished(job=job, run=name) if job.launched else Launch(job=job, run=name))
        elif run.outcome is not None:
            decisions.append(Finish(job=job, run=run, outcome=run.outcome))
        elif request is None:
            decisions += _keep(snapshot, job, run)
    decisions += cancel_waiting(snapshot.state)[:AT_ONCE]
    if any(job.lock is LockState.ABANDONED for job in snapshot.state.active):
        # Last, when our own lost locks are back.
        decisions.append(ReturnAbandoned())
    decisions += [
        Remove(run=run)
        for run in snapshot.runs
        if run.live and run.phase is not RunPhase.TERMINATING and run.name not in claimed
    ]
    return decisions


def _keep(snapshot: Snapshot, job: ActiveJob, run: Run) -> list[Settlement]:
    """What a live run of a current claim needs: nearly always nothing."""
    if not job.launched:
        return [Record(job=job)]
    if run.phase is RunPhase.TERMINATING:
        return []
    if snapshot.shown is not None and job.id not in snapshot.shown:
        return [Unshown(job=job, run=run.name)]
    limit = allowance(run)
    if limit is not None and limit.until <= snapshot.cluster_now:
        return [Overdue(job=job, run=run, outcome=limit.outcome)]
    return []


@dataclass(frozen=True, kw_only=True)
class Admit:
    """Up to `slots` jobs may start now."""

    slots: int


@dataclass(frozen=True, kw_only=True)
class Wait:
    """None may start: why, and until when (ms, Redis clock; None: until something changes)."""

    reason: str
    message: str = ""
    until: int | None = None


def occupied_slots(snapshot: Snapshot) -> int:
    """Slots in use: claims of ours whose run has not ended, live runs, and the jobs of foreign workers."""
    ended = {run.name for run in snapshot.runs if not run.live}
    holders = {run.name for run in snapshot.runs if run.live}
    foreign = 0
    for job in snapshot.state.active:
        if not job.ours:
            foreign += 1
            continue
        name = run_name(snapshot.settings, job.id, job.claim)
        if name not in ended:
            holders.add(name)
    return len(holders) + foreign


def decide_admission(snapshot: Snapshot, occupied: int) -> Admit | Wait:  # noqa: PLR0911  # one return for each reason
    """Whether jobs may start, the reasons in the order in which a person would want to hear them."""
    settings, state = snapshot.settings, snapshot.state
    concurrency = settings.concurrency
    if settings.suspend:
        return Wait(reason="Suspended", message="spec.suspend is true")
    if state.paused:
        return Wait(reason="Paused", message="the queue was paused with BullMQ's pause()")
    if concurrency == 0:
        return Wait(reason="ConcurrencyZero", message="spec.concurrency is 0")
    refused = next((run for run in snapshot.runs if run.waiting_for == POD_REFUSED), None)
    if refused is not None:
        return Wait(reason=POD_REFUSED, message=f"the pod of run {refused.name} is refused: {refused.waiting_message}")
    held = max(state.budgets, key=lambda budget: budget.held_until or 0, default=None)
    if held is not None and held.held_until is not None and held.held_until > state.now:
        message = f"the budget {held.name} is held: its service asked {held.held_by or 'a run'} to wait"
        return Wait(reason="Held", message=message, until=held.held_until)
    if state.held_until is not None and state.held_until > state.now:
        return Wait(reason="Held", message="an external service asked to wait", until=state.held_until)
    by_app = state.app_concurrency is not None and state.app_concurrency < concurrency
    if by_app and state.app_concurrency is not None:
        concurrency = state.app_concurrency
    if occupied >= concurrency:
        message = f"{occupied} of {concurrency} slots in use"
        return Wait(reason="ConcurrencyFull", message=message + (" (set by the app)" if by_app else ""))
    due = state.next_delayed_at is not None and state.next_delayed_at <= state.now
    if state.counts.waiting == 0 and not due:
        return Wait(reason="Idle", until=state.next_delayed_at)
    if state.window_opens_at is not None:
        ours = settings.rate_limit is not None and state.window_used >= settings.rate_limit.max
        message = f"{state.window_used} starts used" if ours else "the app's own rate limit is used up"
        return Wait(reason="WindowFull", message=message, until=state.window_opens_at)
    return Admit(slots=concurrency - occupied)


def next_limit(snapshot: Snapshot) -> int | None:
    """When the next time limit of a run is over, on Redis' clock; those that are over already are dealt with."""
    limits = [limit.until for limit in map(allowance, snapshot.runs) if limit is not None]
    ahead = snapshot.state.now - snapshot.cluster_now
    return min((until + ahead for until in limits if until > snapshot.cluster_now), default=None)


def next_wake(waits: Sequence[int | None], now: int, resync_ms: int) -> int:
    """Milliseconds until the next instant at which something opens, at most `resync_ms`."""
    instants = [instant - now for instant in waits if instant is not None]
    return max(SHORTEST_PAUSE_MS, min([*instants, resync_ms]))
