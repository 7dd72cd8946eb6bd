"""What a tick does, as a table of situations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paperjobs.engine.decide import (
    SHORTEST_PAUSE_MS,
    Admit,
    Finish,
    Launch,
    Overdue,
    Record,
    Relock,
    Remove,
    ReturnAbandoned,
    Snapshot,
    Unshown,
    Vanished,
    Wait,
    decide_admission,
    decide_settle,
    next_limit,
    next_wake,
    occupied_slots,
)
from paperjobs.model import (
    POD_REFUSED,
    ActiveJob,
    BudgetUse,
    Claim,
    Counts,
    LockState,
    Outcome,
    OutcomeKind,
    QueueSettings,
    QueueState,
    RateLimit,
    Run,
    RunPhase,
    TimeLimits,
    run_name,
)

SETTINGS = QueueSettings(
    name="papers", queue="papers", pipeline="p", concurrency=2, rate_limit=RateLimit(max=10, per_ms=60_000)
)
CLAIM = Claim(number=1, token="paperjobs:1")
JOB = ActiveJob(id="7", claim=CLAIM, lock=LockState.OURS, launched=True, attempts_made=0)
RUN = Run(name=run_name(SETTINGS, "7", CLAIM), job_id="7", claim=1, attempt=1, phase=RunPhase.RUNNING)
DONE = Outcome(kind=OutcomeKind.COMPLETED, reason="Completed")
ENDED = replace(RUN, phase=RunPhase.ENDED, outcome=DONE)
STATE = QueueState(now=1_000_000, counts=Counts(waiting=5))


def _snapshot(*runs: Run, active: tuple[ActiveJob, ...] = (), state: QueueState = STATE) -> Snapshot:
    return Snapshot(settings=SETTINGS, runs=runs, state=replace(state, active=active))


def test_a_job_whose_run_is_live_is_left_alone() -> None:
    assert decide_settle(_snapshot(RUN, active=(JOB,))) == []


def test_a_job_whose_run_has_ended_is_finished_with_the_run_s_outcome() -> None:
    assert decide_settle(_snapshot(ENDED, active=(JOB,))) == [Finish(job=JOB, run=ENDED, outcome=DONE)]


def test_a_job_claimed_but_never_launched_is_launched_under_the_same_name() -> None:
    claimed = replace(JOB, launched=False)
    assert decide_settle(_snapshot(active=(claimed,))) == [Launch(job=claimed, run=RUN.name)]


def test_a_launched_job_without_a_run_is_looked_into() -> None:
    assert decide_settle(_snapshot(active=(JOB,))) == [Vanished(job=JOB, run=RUN.name)]


def test_a_lost_lock_is_put_back_before_anything_else_is_done_with_the_job() -> None:
    lost = replace(JOB, lock=LockState.LOST)
    assert decide_settle(_snapshot(ENDED, active=(lost,))) == [
        Relock(job=lost),
        Finish(job=lost, run=ENDED, outcome=DONE),
    ]


def test_a_live_run_whose_claim_is_over_is_removed_and_an_ended_one_is_left_to_history() -> None:
    assert decide_settle(_snapshot(RUN)) == [Remove(run=RUN)]
    assert decide_settle(_snapshot(ENDED)) == []


def test_a_run_of_an_earlier_claim_of_the_same_job_never_finishes_the_newer_claim() -> None:
    newer = replace(JOB, claim=Claim(number=2, token="paperjobs:2"))
    assert decide_settle(_snapshot(ENDED, active=(newer,))) == [
        Vanished(job=newer, run=run_name(SETTINGS, "7", newer.claim))
    ]


def test_a_job_removed_and_added_again_under_its_id_gets_a_run_of_its_own_although_its_claims_count_from_one() -> None:
    again = Claim(number=1, token="paperjobs:other")
    assert run_name(SETTINGS, "7", again) != run_name(SETTINGS, "7", CLAIM)


def test_foreign_workers_jobs_are_never_touched_but_hold_slots() -> None:
    foreign = replace(JOB, lock=LockState.FOREIGN)
    snapshot = _snapshot(active=(foreign,))
    assert decide_settle(snapshot) == []
    assert occupied_slots(snapshot) == 1


@pytest.mark.parametrize(
    ("runs", "active", "slots"),
    [
        pytest.param((), (), 0, id="nothing"),
        pytest.param((RUN,), (JOB,), 1, id="a live run and its claim are one slot"),
        pytest.param((), (replace(JOB, launched=False),), 1, id="a claim holds its slot before its run exists"),
        pytest.param((replace(RUN, phase=RunPhase.PENDING),), (JOB,), 1, id="a pending pod"),
        pytest.param((replace(RUN, phase=RunPhase.TERMINATING),), (), 1, id="a pod that is going, its claim over"),
        pytest.param((ENDED,), (JOB,), 0, id="an ended run frees its slot before BullMQ knows"),
    ],
)
def test_slots_are_counted_from_what_exists(runs: tuple[Run, ...], active: tuple[ActiveJob, ...], slots: int) -> None:
    assert occupied_slots(_snapshot(*runs, active=active)) == slots


@pytest.mark.parametrize(
    ("settings", "state", "occupied", "expected"),
    [
        pytest.param(SETTINGS, STATE, 0, Admit(slots=2), id="free"),
        pytest.param(SETTINGS, STATE, 1, Admit(slots=1), id="one slot left"),
        pytest.param(replace(SETTINGS, suspend=True), STATE, 0, "Suspended", id="suspended"),
        pytest.param(SETTINGS, replace(STATE, paused=True), 0, "Paused", id="paused by the app"),
        pytest.param(replace(SETTINGS, concurrency=0), STATE, 0, "ConcurrencyZero", id="drained by concurrency 0"),
        pytest.param(SETTINGS, STATE, 2, "ConcurrencyFull", id="full"),
        pytest.param(SETTINGS, STATE, 5, "ConcurrencyFull", id="over full after the limit was lowered"),
        pytest.param(
            SETTINGS, replace(STATE, app_concurrency=1), 1, "ConcurrencyFull", id="the app's lower cap counts"
        ),
        pytest.param(
            SETTINGS, replace(STATE, app_concurrency=9), 1, Admit(slots=1), id="the app's higher cap does not"
        ),
        pytest.param(SETTINGS, replace(STATE, held_until=STATE.now + 5), 0, "Held", id="held"),
        pytest.param(SETTINGS, replace(STATE, held_until=STATE.now), 0, Admit(slots=2), id="a hold that just ended"),
        pytest.param(SETTINGS, replace(STATE, window_opens_at=STATE.now + 5), 0, "WindowFull", id="window full"),
        pytest.param(SETTINGS, replace(STATE, counts=Counts()), 0, "Idle", id="nothing waits"),
        pytest.param(
            SETTINGS,
            replace(STATE, counts=Counts(), next_delayed_at=STATE.now),
            0,
            Admit(slots=2),
            id="a delayed is due",
        ),
    ],
)
def test_admission(settings: QueueSettings, state: QueueState, occupied: int, expected: Admit | str) -> None:
    admission = decide_admission(Snapshot(settings=settings, runs=(), state=state), occupied)
    if isinstance(expected, str):
        assert isinstance(admission, Wait)
        assert admission.reason == expected
    else:
        assert admission == expected


def test_waiting_names_the_instant_at_which_it_ends() -> None:
    held = decide_admission(_snapshot(state=replace(STATE, held_until=1_000_500)), 0)
    assert isinstance(held, Wait)
    assert held.until == 1_000_500
    assert next_wake([held.until, None, 1_002_000], now=1_000_000, resync_ms=30_000) == 500
    assert next_wake([None], now=1_000_000, resync_ms=30_000) == 30_000
    assert next_wake([999_000], now=1_000_000, resync_ms=30_000) == SHORTEST_PAUSE_MS


def test_a_queue_waits_for_the_budget_that_is_held_longest_and_says_which_and_who_was_told() -> None:
    free = BudgetUse(name="adobe", used=3)
    brief = BudgetUse(name="anthropic", held_until=STATE.now + 5, held_by="tagging-1")
    held = BudgetUse(name="arxiv", held_until=STATE.now + 9, held_by="papers-1")
    wait = decide_admission(_snapshot(state=replace(STATE, budgets=(free, held, brief))), 0)
    assert isinstance(wait, Wait)
    assert (wait.reason, wait.until) == ("Held", STATE.now + 9)
    assert "budget arxiv" in wait.message
    assert "papers-1" in wait.message
    over = replace(held, held_until=STATE.now)
    assert decide_admission(_snapshot(state=replace(STATE, budgets=(free, over))), 0) == Admit(slots=2)


def test_a_live_run_whose_paperjob_is_gone_is_looked_into_unless_there_are_no_such_objects() -> None:
    unshown = [Unshown(job=JOB, run=RUN.name)]
    assert decide_settle(replace(_snapshot(RUN, active=(JOB,)), shown=frozenset())) == unshown
    assert decide_settle(replace(_snapshot(RUN, active=(JOB,)), shown=frozenset({"7"}))) == []
    assert decide_settle(replace(_snapshot(RUN, active=(JOB,)), shown=None)) == []


def test_a_run_that_is_going_already_is_not_removed_again() -> None:
    going = replace(RUN, phase=RunPhase.TERMINATING)
    assert decide_settle(replace(_snapshot(going, active=(JOB,)), shown=frozenset())) == []
    assert decide_settle(_snapshot(going)) == []


def test_jobs_that_a_dead_worker_left_are_returned_after_our_own_locks_are_back() -> None:
    abandoned = replace(JOB, id="8", lock=LockState.ABANDONED)
    lost = replace(JOB, lock=LockState.LOST)
    assert decide_settle(_snapshot(RUN, active=(abandoned, lost))) == [Relock(job=lost), ReturnAbandoned()]


def test_a_launch_whose_record_was_lost_is_recorded_before_its_run_can_vanish() -> None:
    unrecorded = replace(JOB, launched=False)
    assert decide_settle(_snapshot(RUN, active=(unrecorded,))) == [Record(job=unrecorded)]


LIMITED = replace(RUN, created_at=500_000, started_at=500_000, limits=TimeLimits(start_s=60, fault_s=5, run_s=10))


def test_a_run_is_ended_when_its_time_is_over_on_the_cluster_s_own_clock() -> None:
    snapshot = replace(_snapshot(LIMITED, active=(JOB,)), cluster_now=514_999)
    assert decide_settle(snapshot) == []
    assert next_limit(snapshot) == STATE.now + 1, "told on Redis' clock, which is half a million ms ahead"
    [overdue] = decide_settle(replace(snapshot, cluster_now=515_000))
    assert isinstance(overdue, Overdue)
    assert (overdue.run, overdue.outcome.reason) == (LIMITED, "DeadlineExceeded")
    assert next_limit(replace(snapshot, cluster_now=515_000)) is None, "an instant that has passed wakes nobody"


def test_while_a_pod_is_refused_nothing_more_is_claimed() -> None:
    refused = replace(RUN, phase=RunPhase.PENDING, waiting_for=POD_REFUSED, waiting_message="exceeded quota")
    admission = decide_admission(_snapshot(refused, active=(JOB,)), 1)
    assert isinstance(admission, Wait)
    assert (admission.reason, admission.until) == (POD_REFUSED, None)
    assert "exceeded quota" in admission.message
