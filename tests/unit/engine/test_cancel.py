"""What is done about a job that somebody wants cancelled, as a table of situations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paperjobs.engine.cancel import AT_ONCE, CancelWaiting, FinishCancelled, StopRun
from paperjobs.engine.decide import Finish, Relock, Settlement, Snapshot, decide_settle
from paperjobs.model import (
    ActiveJob,
    CancelRequest,
    Claim,
    LockState,
    Outcome,
    OutcomeKind,
    QueueSettings,
    QueueState,
    Run,
    RunPhase,
    run_name,
)

SETTINGS = QueueSettings(name="papers", queue="papers", pipeline="p", concurrency=2)
CLAIM = Claim(number=1, token="paperjobs:1")
JOB = ActiveJob(id="7", claim=CLAIM, lock=LockState.OURS, launched=True, attempts_made=0)
NAME = run_name(SETTINGS, "7", CLAIM)
RUN = Run(name=NAME, job_id="7", claim=1, attempt=1, phase=RunPhase.RUNNING)
REQUEST = CancelRequest(job_id="7", message="cancelled: no longer needed")


def _ended(kind: OutcomeKind) -> Run:
    return replace(RUN, phase=RunPhase.ENDED, outcome=Outcome(kind=kind, reason="Any"))


def _decide(*runs: Run, active: tuple[ActiveJob, ...] = (JOB,)) -> list[Settlement]:
    state = QueueState(now=1, active=active, cancels=(REQUEST,))
    return decide_settle(Snapshot(settings=SETTINGS, runs=runs, state=state, shown=frozenset()))


@pytest.mark.parametrize("phase", [RunPhase.PENDING, RunPhase.RUNNING])
def test_a_live_run_is_ended_before_its_job(phase: RunPhase) -> None:
    run = replace(RUN, phase=phase)
    assert _decide(run) == [StopRun(run=run)]


def test_a_live_run_whose_launch_was_not_recorded_is_ended_too() -> None:
    assert _decide(RUN, active=(replace(JOB, launched=False),)) == [StopRun(run=RUN)]


def test_a_run_that_is_leaving_is_waited_for() -> None:
    assert _decide(replace(RUN, phase=RunPhase.TERMINATING)) == []


@pytest.mark.parametrize("launched", [True, False])
def test_a_claim_without_a_run_is_finished_and_never_launched(launched: bool) -> None:
    job = replace(JOB, launched=launched)
    assert _decide(active=(job,)) == [FinishCancelled(job=job, request=REQUEST, name=NAME, run=None)]


@pytest.mark.parametrize("kind", [OutcomeKind.FAILED, OutcomeKind.RATE_LIMITED, OutcomeKind.DISRUPTED])
def test_an_end_after_which_the_job_would_run_again_becomes_a_cancellation(kind: OutcomeKind) -> None:
    run = _ended(kind)
    assert _decide(run) == [FinishCancelled(job=JOB, request=REQUEST, name=NAME, run=run)]


@pytest.mark.parametrize("kind", [OutcomeKind.COMPLETED, OutcomeKind.NEVER])
def test_an_end_that_is_final_anyway_stands(kind: OutcomeKind) -> None:
    run = _ended(kind)
    assert run.outcome is not None
    assert _decide(run) == [Finish(job=JOB, run=run, outcome=run.outcome)]


def test_a_lost_lock_is_put_back_first() -> None:
    lost = replace(JOB, lock=LockState.LOST)
    assert _decide(active=(lost,)) == [
        Relock(job=lost),
        FinishCancelled(job=lost, request=REQUEST, name=NAME, run=None),
    ]


def test_a_job_that_is_not_active_is_taken_out_of_its_place() -> None:
    assert _decide(active=()) == [CancelWaiting(request=REQUEST)]


@pytest.mark.parametrize("lock", [LockState.FOREIGN, LockState.ABANDONED])
def test_a_job_of_another_kind_of_worker_is_left_to_it(lock: LockState) -> None:
    decisions = _decide(active=(replace(JOB, lock=lock),))
    assert not [decision for decision in decisions if isinstance(decision, CancelWaiting | FinishCancelled | StopRun)]


def test_a_long_list_is_worked_off_in_parts() -> None:
    cancels = tuple(CancelRequest(job_id=str(number), message="") for number in range(AT_ONCE + 1))
    snapshot = Snapshot(settings=SETTINGS, runs=(), state=QueueState(now=1, cancels=cancels))
    assert len(decide_settle(snapshot)) == AT_ONCE
