"""How a pod that has ended came to its end, in the order in which its status is to be believed.

The run's own verdict (an exit code of the contract) comes first, then what Kubernetes says was done to the pod, then
whatever the exit code may mean. Kubernetes: pod-lifecycle, "Pod disruption conditions", and the kubelet's eviction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from paperjobs.kube.manifest import CONTAINER
from paperjobs.model import Outcome, OutcomeKind
from paperjobs.outcome import outcome_of
from paperjobs_runner.contract import ExitCode

Json = Mapping[str, Any]

VERDICTS: Final = frozenset({ExitCode.DONE, ExitCode.NEVER_AGAIN, ExitCode.RATE_LIMITED, ExitCode.TRY_AGAIN})
"""Exit codes by which the runner itself says how it went."""

NODE_REASONS: Final = frozenset(
    {
        "NodeLost",
        "NodeShutdown",
        "Terminated",
        "Shutdown",
        "Preempting",
        "NodeAffinity",
        "UnexpectedAdmissionError",
        "OutOfcpu",
        "OutOfmemory",
        "OutOfpods",
        "OutOfephemeral-storage",
    }
)
"""Pod reasons for which a node is to blame: it went away, or turned the pod down after scheduling."""

START_REASONS: Final = frozenset({"StartError", "ContainerCannotRun"})
"""Container reasons when the command could not even be started."""

TIMEOUT_REMEDY: Final = "if runs need longer, raise spec.timeout in their PaperQueue"

DETAIL_LIMIT: Final = 500
"""Characters taken over from Kubernetes' own messages."""


def pod_outcome(pod: Json) -> Outcome:
    """The outcome of a pod whose phase is Succeeded or Failed."""
    ending = terminated(pod) or {}
    exit_code, said = ending.get("exitCode"), str(ending.get("message") or "")
    if exit_code in VERDICTS:
        return outcome_of(exit_code, said)
    done_to_it = _done_to_the_pod(pod, ending) or _done_to_the_container(ending, said)
    if done_to_it is not None:
        return done_to_it
    if exit_code is None:
        return _failed("Error", f"the run's pod ended without an exit code: {_detail(pod['status'])}")
    return outcome_of(exit_code, said)


def _done_to_the_pod(pod: Json, ending: Json) -> Outcome | None:
    reason = str(pod["status"].get("reason") or "")
    if holds(pod, "DisruptionTarget"):
        return _disrupted(pod, "Disrupted", "the run's pod was removed from its node")
    if reason in NODE_REASONS or ending.get("reason") == "ContainerStatusUnknown":
        return _disrupted(pod, reason or "NodeLost", "the run's node turned its pod away or was lost")
    if reason == "DeadlineExceeded":
        return _failed(reason, f"the run's node ended it after its queue's timeout ({TIMEOUT_REMEDY})")
    if reason:
        return _failed(reason, f"the run's pod was ended by Kubernetes: {_detail(pod['status'])}")
    return None


def _done_to_the_container(ending: Json, said: str) -> Outcome | None:
    reason = str(ending.get("reason") or "")
    if reason == "OOMKilled":
        remedy = "raise runner.resources.limits.memory in its PaperQueue"
        return _failed(reason, f"the run needed more memory than its limit; {remedy}")
    if reason in START_REASONS:
        return _failed(reason, f"the runner could not be started: {said[:DETAIL_LIMIT]}")
    return None


def runner_state(pod: Json) -> Json:
    """The state of the runner's container; others may have been put beside it (service meshes)."""
    for container in pod["status"].get("containerStatuses") or ():
        if container["name"] == CONTAINER:
            state: Json = container.get("state") or {}
            return state
    return {}


def terminated(pod: Json) -> Json | None:
    """How the runner's container ended, if it has."""
    return runner_state(pod).get("terminated")


def holds(body: Json, kind: str) -> bool:
    """Whether a condition of that type is True; FailureTarget, for one, may also be False."""
    conditions = (body.get("status") or {}).get("conditions") or ()
    return any(known["type"] == kind and known["status"] == "True" for known in conditions)


def _disrupted(pod: Json, reason: str, sentence: str) -> Outcome:
    conditions = pod["status"].get("conditions") or ()
    detail = next((str(known.get("message") or "") for known in conditions if known["type"] == "DisruptionTarget"), "")
    message = f"{sentence}: {detail[:DETAIL_LIMIT]}" if detail else sentence
    return Outcome(kind=OutcomeKind.DISRUPTED, reason=reason, message=message)


def _failed(reason: str, message: str) -> Outcome:
    return Outcome(kind=OutcomeKind.FAILED, reason=reason, message=message)


def _detail(status: Json) -> str:
    return str(status.get("message") or status.get("reason") or "no reason is given")[:DETAIL_LIMIT]
