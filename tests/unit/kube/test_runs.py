"""A run as its Job and Pods show it, with statuses as Kubernetes 1.35 writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paperjobs.kube.runs import read_run
from paperjobs.model import POD_REFUSED, Outcome, OutcomeKind, Run, RunPhase, TimeLimits

Json = dict[str, Any]

LABELS = {"paperjobs.dev/queue": "q", "batch.kubernetes.io/job-name": "q-1"}
ANNOTATIONS = {"paperjobs.dev/job-id": "17", "paperjobs.dev/claim": "3", "paperjobs.dev/attempt": "2"}
CREATED, STARTED, FINISHED = "2026-11-23T18:00:00Z", "2026-11-23T18:00:02Z", "2026-11-23T18:00:09Z"
DELETED = {"deletionTimestamp": "2026-11-23T18:00:05Z"}
CREATED_MS = 1_795_456_800_000


def job(*conditions: Json, metadata: Json | None = None, **status: Any) -> Json:
    return {
        "metadata": {
            "name": "q-1",
            "creationTimestamp": CREATED,
            "labels": LABELS,
            "annotations": ANNOTATIONS,
            **(metadata or {}),
        },
        "spec": {"activeDeadlineSeconds": 600},
        "status": {"conditions": list(conditions), **status},
    }


def condition(kind: str, reason: str = "", status: str = "True", message: str = "") -> Json:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": FINISHED,
    }


COMPLETE = (condition("SuccessCriteriaMet"), condition("Complete"))
BACKOFF_LIMIT = (condition("FailureTarget", "BackoffLimitExceeded"), condition("Failed", "BackoffLimitExceeded"))
DEADLINE = (condition("FailureTarget", "DeadlineExceeded"), condition("Failed", "DeadlineExceeded"))
DISRUPTION = condition("DisruptionTarget", "EvictionByEvictionAPI", message="Eviction API: evicting")


def pod(phase: str, state: Json | None, *conditions: Json, metadata: Json | None = None, **status: Any) -> Json:
    statuses = [{"name": "runner", "state": state}] if state is not None else []
    return {
        "metadata": {
            "name": "q-1-abcde",
            "creationTimestamp": CREATED,
            "labels": LABELS,
            "annotations": ANNOTATIONS,
            **(metadata or {}),
        },
        "status": {"phase": phase, "conditions": list(conditions), "containerStatuses": statuses, **status},
    }


def running(**metadata: Any) -> Json:
    return pod("Running", {"running": {"startedAt": STARTED}}, metadata=metadata)


def waiting(reason: str) -> Json:
    return pod("Pending", {"waiting": {"reason": reason, "message": "…"}})


def ended(code: int, *conditions: Json, reason: str = "Error", message: str = "", **more: Any) -> Json:
    terminated = {
        "exitCode": code,
        "reason": reason,
        "message": message,
        "startedAt": STARTED,
        "finishedAt": FINISHED,
    }
    return pod("Succeeded" if code == 0 else "Failed", {"terminated": terminated}, *conditions, **more)


def report(**fields: Any) -> str:
    return json.dumps(fields)


def read(known: Json | None, *pods: Json) -> Run:
    run = read_run(known, pods)
    assert run is not None
    return run


def test_a_new_job_is_pending_and_says_whose_it_is() -> None:
    run = read(job())
    assert run == Run(name="q-1", job_id="17", claim=3, attempt=2, phase=RunPhase.PENDING, created_at=CREATED_MS)


@pytest.mark.parametrize(
    ("known", "waits_for"),
    [
        (waiting("ContainerCreating"), ""),
        (waiting("ErrImagePull"), "ErrImagePull"),
        (waiting("ImagePullBackOff"), "ImagePullBackOff"),
        (waiting("CreateContainerConfigError"), "CreateContainerConfigError"),
        (pod("Pending", None, condition("PodScheduled", "Unschedulable", "False")), "Unschedulable"),
        (pod("Pending", None, condition("PodScheduled", "SchedulingGated", "False")), "SchedulingGated"),
        (pod("Pending", None, condition("PodScheduled")), ""),
    ],
)
def test_a_pending_run_says_what_it_waits_for(known: Json, waits_for: str) -> None:
    run = read(job(active=1), known)
    assert (run.phase, run.waiting_for) == (RunPhase.PENDING, waits_for)


def test_a_suspended_job_says_so() -> None:
    suspended = job()
    suspended["spec"]["suspend"] = True
    assert read(suspended).waiting_for == "Suspended"


def test_a_running_pod_makes_a_running_run() -> None:
    run = read(job(active=1), running())
    assert (run.phase, run.started_at, run.ended_at) == (RunPhase.RUNNING, CREATED_MS + 2000, None)


@pytest.mark.parametrize("known", [job(active=1), job(*COMPLETE, succeeded=1)], ids=["before the verdict", "after it"])
def test_a_pod_that_succeeded_ends_the_run_with_its_result(known: Json) -> None:
    run = read(known, ended(0, reason="Completed", message=report(result={"n": 3})))
    assert (run.phase, run.ended_at) == (RunPhase.ENDED, CREATED_MS + 9000)
    assert run.outcome is not None
    assert (run.outcome.kind, run.outcome.result) == (OutcomeKind.COMPLETED, {"n": 3})


def test_a_complete_job_waits_for_its_pods_end_since_the_result_is_there() -> None:
    run = read(job(*COMPLETE), running())
    assert (run.phase, run.outcome) == (RunPhase.RUNNING, None)


def test_a_complete_job_whose_pod_is_gone_is_complete_without_a_result() -> None:
    run = read(job(*COMPLETE))
    assert run.outcome is not None
    assert (run.outcome.kind, run.outcome.result) == (OutcomeKind.COMPLETED, None)
    assert run.ended_at == CREATED_MS + 9000


NODE_AWAY: Json = {"reason": "NodeLost", "message": "Node x which was running pod is unresponsive"}


@pytest.mark.parametrize(
    ("known", "kind", "reason"),
    [
        # The runner's own verdicts.
        (ended(65, message=report(errorType="BadPayload")), OutcomeKind.NEVER, "BadPayload"),
        (ended(69, message=report(retryAfterMs=5000)), OutcomeKind.RATE_LIMITED, "RateLimited"),
        (ended(75, message=report(errorType="Timeout")), OutcomeKind.FAILED, "Timeout"),
        # They count even when the pod was being disrupted at the time.
        (ended(65, DISRUPTION, message=report(errorType="BadPayload")), OutcomeKind.NEVER, "BadPayload"),
        # Asked to stop by somebody who left no trace (a node's shutdown, kill in the pod).
        (ended(143), OutcomeKind.DISRUPTED, "Interrupted"),
        # Crashes, and a foreign program's output as message.
        (ended(1), OutcomeKind.FAILED, "Crashed"),
        (ended(139, message="Segmentation fault"), OutcomeKind.FAILED, "Crashed"),
        (ended(137, reason="OOMKilled"), OutcomeKind.FAILED, "OOMKilled"),
        # The runner could not be started.
        (ended(128, reason="StartError", message="exec: not found"), OutcomeKind.FAILED, "StartError"),
        # Disruptions: evicted, preempted, drained; the kubelet's own eviction has a reason beside it.
        (ended(137, DISRUPTION), OutcomeKind.DISRUPTED, "Disrupted"),
        (ended(137, DISRUPTION, reason="OOMKilled"), OutcomeKind.DISRUPTED, "Disrupted"),
        (pod("Failed", None, DISRUPTION, reason="Evicted"), OutcomeKind.DISRUPTED, "Disrupted"),
        # A condition that is False says nothing.
        (ended(1, condition("DisruptionTarget", status="False")), OutcomeKind.FAILED, "Crashed"),
        # An eviction for what the pod itself did (its /tmp is full) is no disruption.
        (pod("Failed", None, reason="Evicted", message="Usage of EmptyDir volume"), OutcomeKind.FAILED, "Evicted"),
        # The node's fault.
        (pod("Failed", None, **NODE_AWAY), OutcomeKind.DISRUPTED, "NodeLost"),
        (pod("Failed", None, reason="OutOfcpu"), OutcomeKind.DISRUPTED, "OutOfcpu"),
        (ended(137, reason="ContainerStatusUnknown"), OutcomeKind.DISRUPTED, "NodeLost"),
        # Nothing is known.
        (pod("Failed", None), OutcomeKind.FAILED, "Error"),
    ],
)
@pytest.mark.parametrize("verdict", [(), BACKOFF_LIMIT], ids=["before the Job's verdict", "after it"])
def test_a_pod_that_ended_tells_the_outcome(
    known: Json, kind: OutcomeKind, reason: str, verdict: tuple[Json, ...]
) -> None:
    run = read(job(*verdict), known)
    assert run.phase is RunPhase.ENDED
    assert run.outcome is not None
    assert (run.outcome.kind, run.outcome.reason) == (kind, reason)


def test_a_rate_limit_says_how_long_to_wait() -> None:
    outcome = read(job(), ended(69, message=report(message="arXiv asks to wait", retryAfterMs=5000))).outcome
    assert outcome is not None
    assert (outcome.retry_after_ms, outcome.message) == (5000, "arXiv asks to wait")


def test_every_failure_has_a_sentence_for_people() -> None:
    for known in (ended(1), ended(137, reason="OOMKilled"), ended(137, DISRUPTION), pod("Failed", None)):
        outcome = read(job(), known).outcome
        assert outcome is not None
        assert len(outcome.message.split()) > 3


@pytest.mark.parametrize(
    ("known", "pods"),
    [
        # The Job controller deletes the pod first and says why a moment later.
        (job(active=1), [ended(143, metadata=DELETED)]),
        (job(condition("FailureTarget", "DeadlineExceeded")), [ended(143)]),
        (job(condition("FailureTarget", "DeadlineExceeded")), [running(**DELETED)]),
        # The pod is gone, the verdict is not there yet.
        (job(condition("FailureTarget", "DeadlineExceeded")), []),
        (job(uncountedTerminatedPods={"failed": ["uid"]}), []),
        (job(failed=1, uncountedTerminatedPods={"failed": ["uid"]}), []),
        (job(failed=1, terminating=1), []),
        # Asked to leave, still running.
        (job(active=1), [running(**DELETED)]),
        (job(*DEADLINE), [running(**DELETED)]),
        # The Job itself is being deleted.
        (job(metadata=DELETED), [running()]),
        (job(metadata=DELETED), [ended(143)]),
        (job(metadata=DELETED), []),
        # The Job is gone already.
        (None, [running(**DELETED)]),
        (None, [running()]),
    ],
)
def test_a_run_that_is_being_ended_holds_its_slot_and_has_no_outcome_yet(known: Json | None, pods: list[Json]) -> None:
    run = read(known, *pods)
    assert (run.name, run.phase, run.outcome) == ("q-1", RunPhase.TERMINATING, None)
    assert (run.job_id, run.claim) == ("17", 3)


def test_a_failure_that_is_counted_and_never_said_ends_the_run_when_its_pod_is_gone() -> None:
    # Seen in a storm: a pod deleted before the Job controller saw it leaves this behind until the Job's deadline.
    run = read(job(failed=1, terminating=0, ready=0, uncountedTerminatedPods={}))
    assert run.phase is RunPhase.ENDED
    assert run.outcome is not None
    assert (run.outcome.kind, run.outcome.reason) == (OutcomeKind.DISRUPTED, "PodVanished")
    assert read(job(metadata=DELETED, failed=1)).phase is RunPhase.TERMINATING


@pytest.mark.parametrize("pods", [[], [ended(143, metadata=DELETED)]])
def test_a_deadline_is_a_failure_although_the_pod_ended_as_a_disruption_would(pods: list[Json]) -> None:
    outcome = read(job(*DEADLINE), *pods).outcome
    assert outcome is not None
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "DeadlineExceeded")
    assert "600 s" in outcome.message


GIVEN = '{"kind": "failed", "reason": "ImagePullBackOff", "message": "no"}'
VERDICT = {"annotations": {**ANNOTATIONS, "paperjobs.dev/verdict": GIVEN}}
NEVER_RAN = pod("Failed", {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}}, metadata=DELETED)


@pytest.mark.parametrize("pods", [[], [NEVER_RAN], [ended(143, metadata=DELETED)]])
def test_a_run_that_the_operator_ended_has_the_outcome_that_it_was_given(pods: list[Json]) -> None:
    outcome = read(job(*DEADLINE, metadata=VERDICT), *pods).outcome
    assert outcome == Outcome(kind=OutcomeKind.FAILED, reason="ImagePullBackOff", message="no")


@pytest.mark.parametrize("pods", [[], [waiting("ImagePullBackOff")], [running()], [ended(143, metadata=DELETED)]])
def test_a_run_that_the_operator_ended_is_terminating_until_its_job_says_so(pods: list[Json]) -> None:
    assert read(job(active=1, metadata=VERDICT), *pods).phase is RunPhase.TERMINATING


def test_a_run_that_succeeded_while_the_operator_ended_it_is_complete() -> None:
    outcome = read(job(*DEADLINE, metadata=VERDICT), ended(0, message=report(result={"n": 1}))).outcome
    assert outcome is not None
    assert (outcome.kind, outcome.result) == (OutcomeKind.COMPLETED, {"n": 1})


def test_a_node_s_own_deadline_names_the_limit_and_how_to_raise_it() -> None:
    outcome = read(job(), pod("Failed", None, reason="DeadlineExceeded", message="Pod was active too long")).outcome
    assert outcome is not None
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "DeadlineExceeded")
    assert "raise spec.timeout" in outcome.message


def test_a_run_carries_the_time_limits_of_its_launch() -> None:
    limited = job(metadata={"annotations": {"paperjobs.dev/time-limits": "start=1800s fault=180s run=600s"}})
    assert read(limited).limits == TimeLimits(start_s=1800, fault_s=180, run_s=600)
    assert read(job(metadata={"annotations": {"paperjobs.dev/time-limits": "soon"}})).limits is None


def test_a_fault_that_keeps_a_pod_from_starting_is_told_with_its_age_and_the_node_s_words() -> None:
    run = read_run(job(active=1), [waiting("ErrImagePull")], faulty_since=7)
    assert run is not None
    assert (run.waiting_for, run.waiting_message, run.faulty_since) == ("ErrImagePull", "…", 7)


def test_a_job_that_may_not_create_its_pod_says_so() -> None:
    run = read_run(job(), [], pod_refusal="exceeded quota: pods=0")
    assert run is not None
    assert (run.phase, run.waiting_for) == (RunPhase.PENDING, POD_REFUSED)
    assert run.waiting_message == "exceeded quota: pods=0"


def test_a_run_that_stored_its_result_just_before_the_deadline_is_complete() -> None:
    outcome = read(job(*DEADLINE), ended(0, message=report(result={"n": 1}), metadata=DELETED)).outcome
    assert outcome is not None
    assert (outcome.kind, outcome.result) == (OutcomeKind.COMPLETED, {"n": 1})


@pytest.mark.parametrize("pods", [[], [ended(143, metadata=DELETED)]])
def test_a_pod_deleted_by_hand_is_a_disruption(pods: list[Json]) -> None:
    run = read(job(*BACKOFF_LIMIT), *pods)
    assert run.outcome is not None
    assert run.outcome.kind is OutcomeKind.DISRUPTED


def test_a_failure_that_is_announced_but_not_final_is_no_outcome() -> None:
    announced = (condition("FailureTarget", "BackoffLimitExceeded"), condition("Failed", status="False"))
    assert read(job(*announced), running()).outcome is None


@pytest.mark.parametrize("pods", [[], [ended(0)], [ended(1)]])
def test_nothing_is_left_of_a_run_whose_job_is_gone_and_whose_pod_ended(pods: list[Json]) -> None:
    assert read_run(None, pods) is None


def test_of_two_pods_the_one_that_lives_counts_then_the_one_that_succeeded() -> None:
    failed, succeeded, living = ended(1), ended(0, message=report(result={"n": 1})), running()
    assert read(job(), failed, living).phase is RunPhase.RUNNING
    outcome = read(job(), succeeded, failed).outcome
    assert outcome is not None
    assert outcome.kind is OutcomeKind.COMPLETED


def test_a_containers_neighbours_are_not_listened_to() -> None:
    known = ended(75, message=report(errorType="Slow"))
    sidecar = {"name": "istio-proxy", "state": {"terminated": {"exitCode": 0, "message": ""}}}
    known["status"]["containerStatuses"].insert(0, sidecar)
    outcome = read(job(), known).outcome
    assert outcome is not None
    assert outcome.reason == "Slow"


def test_foreign_annotations_are_survived() -> None:
    strange = job(metadata={"annotations": {"paperjobs.dev/claim": "many"}})
    assert (read(strange).claim, read(strange).job_id) == (0, "")
