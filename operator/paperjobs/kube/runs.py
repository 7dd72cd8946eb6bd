"""A run as its Job and Pods show it: where it stands, and how it ended.

A Job's own verdict comes some two seconds after its pod's (batching in the Job controller), so a pod that ended by
itself is believed at once. Only a pod that is being *deleted* waits for the Job's verdict: a deadline and a disruption
both end it with SIGTERM, and one of them costs an attempt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from paperjobs.kube import names
from paperjobs.kube.obstacle import Obstacle, obstacle
from paperjobs.kube.podoutcome import holds, pod_outcome, runner_state, terminated
from paperjobs.kube.timestamps import from_text
from paperjobs.kube.verdict import time_limits, verdict
from paperjobs.model import HELD_BACK, POD_REFUSED, Outcome, OutcomeKind, Run, RunPhase
from paperjobs_runner.contract import ExitCode

Json = Mapping[str, Any]

ENDED_PHASES: Final = ("Succeeded", "Failed")

VANISHED: Final = Outcome(
    kind=OutcomeKind.DISRUPTED,
    reason="PodVanished",
    message="the run's pod is gone and left no trace: deleted by hand, or its node was lost",
)


def read_run(
    job: Json | None, pods: Sequence[Json], *, faulty_since: int | None = None, pod_refusal: str = ""
) -> Run | None:
    """The run of one name; None when nothing of it is left that holds a slot or tells an outcome.

    `faulty_since` is when the fault was first seen that keeps its pod from starting, `pod_refusal` what the Job
    controller was told when it tried to create the pod."""
    pod = telling(pods)
    if job is None:
        if pod is None or _ended(pod):
            return None
        return _run(pod, pod["metadata"]["labels"][names.JOB_NAME_LABEL], RunPhase.TERMINATING, pod)
    phase, outcome = _state(job, pod)
    run = _run(job, job["metadata"]["name"], phase, pod, outcome=outcome)
    if phase is not RunPhase.PENDING:
        return run
    waits = _waits_for(job, pod, pod_refusal)
    return replace(run, waiting_for=waits.reason, waiting_message=waits.message, faulty_since=faulty_since)


def _state(job: Json, pod: Json | None) -> tuple[RunPhase, Outcome | None]:
    still_there = pod is not None and not _ended(pod)
    if holds(job, "Complete"):
        # The pod's end is on its way through the other watch, and with it the result.
        return (RunPhase.RUNNING, None) if still_there else (RunPhase.ENDED, _success(pod))
    if still_there and (holds(job, "Failed") or holds(job, "FailureTarget")):
        return RunPhase.TERMINATING, None
    if holds(job, "Failed"):
        return RunPhase.ENDED, _failure(job, pod)
    return _undecided(job, pod)


def _undecided(job: Json, pod: Json | None) -> tuple[RunPhase, Outcome | None]:
    """The Job has no verdict yet."""
    if job["metadata"].get("deletionTimestamp"):
        return RunPhase.TERMINATING, None
    if pod is None:
        return _without_pod(job)
    if verdict(job) and not _ended(pod):
        return RunPhase.TERMINATING, None
    if _ended(pod):
        return _early(job, pod)
    if pod["metadata"].get("deletionTimestamp"):
        return RunPhase.TERMINATING, None
    return (RunPhase.RUNNING if pod["status"].get("phase") == "Running" else RunPhase.PENDING), None


def _without_pod(job: Json) -> tuple[RunPhase, Outcome | None]:
    if _verdict_is_overdue(job):
        return RunPhase.ENDED, verdict(job) or VANISHED
    return (RunPhase.TERMINATING if verdict(job) or _had_a_pod(job) else RunPhase.PENDING), None


def _early(job: Json, pod: Json) -> tuple[RunPhase, Outcome | None]:
    """The pod has ended, the Job has not said anything yet."""
    asked_to_leave = bool(pod["metadata"].get("deletionTimestamp")) or holds(job, "FailureTarget")
    if asked_to_leave and not _succeeded(pod):
        return RunPhase.TERMINATING, None
    return RunPhase.ENDED, pod_outcome(pod)


def _success(pod: Json | None) -> Outcome:
    if pod is not None and terminated(pod):
        return pod_outcome(pod)
    return Outcome(kind=OutcomeKind.COMPLETED, reason="Completed")


def _failure(job: Json, pod: Json | None) -> Outcome:
    if pod is not None and _succeeded(pod):
        return pod_outcome(pod)
    failed = next(known for known in job["status"]["conditions"] if known["type"] == "Failed")
    if failed.get("reason") == "DeadlineExceeded":
        return verdict(job) or _last_resort(job)
    if pod is not None:
        return pod_outcome(pod)
    return VANISHED


def _last_resort(job: Json) -> Outcome:
    """No operator was there to end the run in time, so nobody knows which of its limits was over."""
    seconds = job["spec"].get("activeDeadlineSeconds", 0)
    return Outcome(
        kind=OutcomeKind.FAILED,
        reason="DeadlineExceeded",
        message=f"the run was ended {seconds} s after its launch, the time in which it should have started and ended; "
        "if it needs longer, raise spec.startTimeout or spec.timeout in its PaperQueue",
    )


def _verdict_is_overdue(job: Json) -> bool:
    """Whether the Job controller has counted the pod as failed and said nothing: then it has lost its expectations.

    A pod that was deleted before the controller first saw it (its API server was down) is never seen to be created.
    The controller waits for that, then for the Job's deadline: the slot would be held all the time. It makes no other
    pod, since one failure is over the Job's backoffLimit; in good order the verdict comes before the count
    (job_controller.go of Kubernetes 1.35: addPod, syncJob)."""
    status = job.get("status") or {}
    uncounted = status.get("uncountedTerminatedPods") or {}
    busy = status.get("active") or status.get("terminating") or any(uncounted.values())
    return bool(status.get("failed")) and not busy and not holds(job, "FailureTarget")


def _had_a_pod(job: Json) -> bool:
    """Whether the Job controller has seen a pod end: between the pod's deletion and the verdict there is a gap."""
    status = job.get("status") or {}
    uncounted = status.get("uncountedTerminatedPods") or {}
    return bool(status.get("failed") or status.get("terminating") or any(uncounted.values())) or any(
        holds(job, kind) for kind in ("FailureTarget", "SuccessCriteriaMet")
    )


def _waits_for(job: Json, pod: Json | None, pod_refusal: str) -> Obstacle:
    if pod is not None:
        return obstacle(pod) or Obstacle()
    if job["spec"].get("suspend"):
        return Obstacle(reason=HELD_BACK)
    return Obstacle(reason=POD_REFUSED, message=pod_refusal) if pod_refusal else Obstacle()


def telling(pods: Sequence[Json]) -> Json | None:
    """The pod that tells the run's state. In rare cases a Job starts two: one that lives, else one that succeeded,
    else the newest."""
    return max(
        pods,
        key=lambda pod: (not _ended(pod), _succeeded(pod), pod["metadata"].get("creationTimestamp", "")),
        default=None,
    )


def _ended(pod: Json) -> bool:
    return pod["status"].get("phase") in ENDED_PHASES


def _succeeded(pod: Json) -> bool:
    ending = terminated(pod)
    return ending is not None and ending.get("exitCode") == ExitCode.DONE


def _run(source: Json, name: str, phase: RunPhase, pod: Json | None, *, outcome: Outcome | None = None) -> Run:
    metadata = source["metadata"]
    annotations = metadata.get("annotations") or {}
    started_at, ended_at = _times(pod)
    if phase is RunPhase.ENDED and ended_at is None:
        ended_at = _verdict_at(source)
    return Run(
        name=name,
        job_id=annotations.get(names.JOB_ID, ""),
        claim=_number(annotations.get(names.CLAIM)),
        token=annotations.get(names.TOKEN, ""),
        attempt=_number(annotations.get(names.ATTEMPT)),
        phase=phase,
        outcome=outcome,
        created_at=from_text(metadata.get("creationTimestamp")) or 0,
        started_at=started_at,
        ended_at=ended_at if phase is RunPhase.ENDED else None,
        limits=time_limits(source),
    )


def _times(pod: Json | None) -> tuple[int | None, int | None]:
    if pod is None:
        return None, None
    state = runner_state(pod)
    current = state.get("terminated") or state.get("running") or {}
    return from_text(current.get("startedAt")), from_text(current.get("finishedAt"))


def _verdict_at(job: Json) -> int | None:
    times = [
        from_text(known.get("lastTransitionTime"))
        for known in (job.get("status") or {}).get("conditions") or ()
        if known["type"] in ("Complete", "Failed") and known["status"] == "True"
    ]
    return times[0] if times else None


def _number(text: object) -> int:
    return int(text) if isinstance(text, str) and text.isdecimal() else 0
