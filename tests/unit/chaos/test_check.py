"""The judge of the chaos test can condemn: each rule is shown a history that keeps it, and one that breaks it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.check import check, check_after_losses
from chaos.history import Added, Change, Event, Final, History, Limits, Started


def lawful() -> History:
    """Two jobs of a queue of one slot and two starts a second: one completes, one fails once and then completes."""
    history = History(limits={"q": Limits(concurrency=1, max=2, per_ms=1000)})
    history.added = [Added(queue="q", id="a", attempts=1), Added(queue="q", id="b", attempts=2)]
    told = [
        (0, "active", "a"),
        (100, "completed", "a"),
        (200, "active", "b"),
        (300, "delayed", "b"),
        (1001, "active", "b"),
        (1100, "completed", "b"),
    ]
    history.events = [Event(queue="q", at=at, kind=kind, job_id=job) for at, kind, job in told]
    history.final = {
        ("q", "a"): Final(state="completed", attempts_made=1, attempts_started=1),
        ("q", "b"): Final(state="completed", attempts_made=2, attempts_started=2),
    }
    history.changes = [
        *run(10, "a", 1, "done"),
        *run(20, "b", 1, "failed"),
        *run(30, "b", 2, "done"),
    ]
    history.started = [
        Started(at=0.0, run=f"{job}-{claim}", queue="q", job_id=job, claim=claim)
        for job, claim in (("a", 1), ("b", 1), ("b", 2))
    ]
    return history


def run(revision: int, job: str, claim: int, ending: str, uid: str = "") -> list[Change]:
    """A Job that is made, its Pod that lives and ends, and the Job's verdict."""
    made = Change(
        revision=revision,
        kind="Job",
        name=f"{job}-{claim}",
        uid=f"job-{job}-{claim}{uid}",
        run=f"{job}-{claim}",
        queue="q",
        job_id=job,
        claim=claim,
        attempt=claim,
        live=True,
    )
    pod = replace(made, revision=revision + 1, kind="Pod", name=f"{job}-{claim}-pod", uid=f"pod-{job}-{claim}{uid}")
    ended = replace(pod, revision=revision + 2, live=False, ending=ending)
    return [made, pod, ended, replace(made, revision=revision + 3, live=False)]


def rules_broken_by(history: History) -> set[str]:
    return {violation.rule for violation in check(history)}


def test_a_lawful_history_breaks_no_rule() -> None:
    assert check(lawful()) == []
    assert check_after_losses(lawful()) == []


def test_a_second_final_event_is_seen() -> None:
    history = lawful()
    history.events.append(Event(queue="q", at=1200, kind="failed", job_id="a"))
    assert rules_broken_by(history) == {"ends once"}


def test_a_job_without_an_end_is_seen() -> None:
    history = lawful()
    history.events = [event for event in history.events if (event.job_id, event.kind) != ("a", "completed")]
    history.final["q", "a"] = Final(state="active", attempts_made=0, attempts_started=1)
    assert {"ends once", "nothing lost", "concurrency of claims"} == rules_broken_by(history)


def test_a_job_that_is_gone_is_seen_even_when_redis_may_lose_a_second() -> None:
    history = lawful()
    del history.final["q", "a"]
    assert [violation.rule for violation in check_after_losses(history)] == ["nothing lost"]


def test_a_job_that_nobody_added_is_seen() -> None:
    history = lawful()
    history.events.append(Event(queue="q", at=1200, kind="completed", job_id="stranger"))
    assert rules_broken_by(history) == {"ends once"}


def test_a_second_kubernetes_job_for_a_claim_is_seen() -> None:
    history = lawful()
    history.changes += run(40, "b", 2, "done", uid="-again")
    assert rules_broken_by(history) == {"one Job per claim"}


def test_a_job_that_the_storm_deleted_may_be_made_once_more_but_not_beside_its_old_pod() -> None:
    history = lawful()
    history.changes += run(40, "b", 2, "done", uid="-again")
    history.started.append(history.started[2])
    history.touched = history.jobs_deleted = {"b-2"}
    assert check(history) == []
    history.started.append(history.started[2])
    history.changes += run(40, "b", 2, "done", uid="-and-again")
    assert rules_broken_by(history) == {
        "one Job per claim",
        "one start per run",
        "one run at a time",
        "concurrency of pods",
    }


def test_a_claim_without_a_kubernetes_job_is_seen() -> None:
    history = lawful()
    history.changes = [change for change in history.changes if change.run != "b-1"]
    assert "one Job per claim" in rules_broken_by(history)


def test_a_second_start_of_one_run_is_seen() -> None:
    history = lawful()
    history.started.append(history.started[0])
    assert rules_broken_by(history) == {"one start per run"}


def test_two_pods_of_one_job_at_the_same_time_are_seen() -> None:
    history = lawful()
    history.limits = {"q": Limits(concurrency=2, max=2, per_ms=1000)}
    first, second = run(20, "b", 1, "failed"), run(21, "b", 2, "done")
    history.changes = [*run(10, "a", 1, "done"), *first[:2], *second[:2], *first[2:], *second[2:]]
    history.changes = [replace(change, revision=number) for number, change in enumerate(history.changes)]
    assert rules_broken_by(history) == {"one run at a time"}


def test_more_live_pods_than_slots_are_seen_by_the_order_of_revisions() -> None:
    history = lawful()
    # a's pod ends after b's pod was made (revision 21).
    late = {12: 22, 22: 23}
    history.changes = [
        replace(change, revision=late.get(change.revision, change.revision)) for change in history.changes
    ]
    assert rules_broken_by(history) == {"concurrency of pods"}


def test_more_claims_than_slots_are_seen() -> None:
    history = lawful()
    history.events[1], history.events[2] = replace(history.events[2], at=50), history.events[1]
    assert rules_broken_by(history) == {"concurrency of claims"}


@pytest.mark.parametrize(
    ("at", "broken"),
    [
        pytest.param(1001, set[str](), id="one ms after the window has left the first start"),
        pytest.param(1000, {"window"}, id="exactly one window after the first start: a closed interval holds both"),
        pytest.param(700, {"window"}, id="well inside"),
    ],
)
def test_one_start_too_many_in_any_window_is_seen(at: int, broken: set[str]) -> None:
    history = lawful()
    history.events[4] = replace(history.events[4], at=at)
    assert rules_broken_by(history) == broken


@pytest.mark.parametrize(
    ("state", "attempts"),
    [
        pytest.param("completed", 1, id="a failed attempt that was not counted"),
        pytest.param("completed", 3, id="an attempt that never was"),
        pytest.param("failed", 2, id="failed although its last run was done"),
    ],
)
def test_a_record_that_the_runs_do_not_explain_is_seen(state: str, attempts: int) -> None:
    history = lawful()
    history.final["q", "b"] = Final(state=state, attempts_made=attempts, attempts_started=2)
    assert rules_broken_by(history) == {"attempts"}


def test_a_disruption_that_cost_an_attempt_is_seen() -> None:
    history = lawful()
    history.changes = [
        replace(change, ending="disrupted") if change.ending == "failed" else change for change in history.changes
    ]
    assert rules_broken_by(history) == {"attempts"}
    history.final["q", "b"] = replace(history.final["q", "b"], attempts_made=1)
    assert check(history) == []


def test_giving_up_before_the_last_attempt_is_seen() -> None:
    history = lawful()
    history.changes = [
        replace(change, ending="failed") if change.run == "b-2" and change.ending else change
        for change in history.changes
    ]
    history.added[1] = replace(history.added[1], attempts=3)
    history.final["q", "b"] = replace(history.final["q", "b"], state="failed")
    assert rules_broken_by(history) == {"attempts"}


def test_what_the_storm_deleted_itself_may_count_either_way() -> None:
    history = lawful()
    history.touched = {"b-1"}
    history.final["q", "b"] = replace(history.final["q", "b"], attempts_made=1)
    assert check(history) == []


def test_an_operator_that_ended_by_itself_is_seen() -> None:
    history = lawful()
    history.died = ["exit code 1: …"]
    assert rules_broken_by(history) == {"operators live"}
