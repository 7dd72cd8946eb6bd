"""The status that a scheduler or kubelet writes for a pod with one container, as patches. Pure.

Reasons and messages are those of Kubernetes 1.35 with containerd.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

MESSAGE_LIMIT: Final = 4096
"""Bytes of a termination message (k8s.io/kubernetes pkg/kubelet/container, MaxContainerTerminationMessageLength)."""

START_ERROR_EXIT_CODE: Final = 128


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a container ended."""

    exit_code: int
    reason: str
    message: str = ""
    pod_reason: str | None = None
    """Why the whole pod ended, when it was not the container's own doing (Evicted, DeadlineExceeded)."""
    pod_message: str | None = None
    disruption: Mapping[str, Any] | None = None
    """The DisruptionTarget condition, when the pod was disrupted."""


def now() -> str:
    """The time as Kubernetes writes it, in whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, status: bool, reason: str = "", message: str = "") -> dict[str, Any]:
    """One entry of a pod's conditions."""
    return {
        "type": kind,
        "status": str(status),
        "reason": reason,
        "message": message,
        "lastTransitionTime": now(),
    }


def disruption(reason: str, message: str) -> dict[str, Any]:
    """The condition that tells a disruption from a failure."""
    return condition("DisruptionTarget", True, reason, message)


def unschedulable() -> dict[str, Any]:
    """What a scheduler writes when no node has room."""
    message = "0/1 nodes are available: 1 Insufficient memory."
    return {"phase": "Pending", "conditions": [condition("PodScheduled", False, "Unschedulable", message)]}


def waiting(pod: Mapping[str, Any], reason: str, message: str) -> dict[str, Any]:
    """A container that cannot start yet."""
    state = {"waiting": {"reason": reason, "message": message}}
    not_ready = "containers with unready status"
    return {
        "phase": "Pending",
        "startTime": now(),
        "hostIP": "127.0.0.1",
        "conditions": [
            condition("Initialized", True),
            condition("Ready", False, "ContainersNotReady", not_ready),
            condition("ContainersReady", False, "ContainersNotReady", not_ready),
        ],
        "containerStatuses": [_container(pod, state, ready=False, started=False)],
    }


def running(pod: Mapping[str, Any], started_at: str) -> dict[str, Any]:
    """A container that runs."""
    state = {"running": {"startedAt": started_at}}
    return {
        "phase": "Running",
        "startTime": started_at,
        "hostIP": "127.0.0.1",
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "conditions": [condition(kind, True) for kind in ("Initialized", "Ready", "ContainersReady")],
        "containerStatuses": [_container(pod, state, ready=True, started=True)],
    }


def ended(pod: Mapping[str, Any], started_at: str, ending: Ending) -> dict[str, Any]:
    """A container that will not run again: the pod has succeeded or failed."""
    succeeded = ending.exit_code == 0 and ending.pod_reason is None
    terminated = {
        "exitCode": ending.exit_code,
        "reason": ending.reason,
        "message": ending.message,
        "startedAt": started_at,
        "finishedAt": now(),
        "containerID": _container_id(pod),
    }
    reason = "PodCompleted" if succeeded else "PodFailed"
    conditions = [condition(kind, False, reason) for kind in ("Ready", "ContainersReady")]
    return {
        "phase": "Succeeded" if succeeded else "Failed",
        "reason": ending.pod_reason,
        "message": ending.pod_message,
        "conditions": [*conditions, *([ending.disruption] if ending.disruption else [])],
        "containerStatuses": [_container(pod, {"terminated": terminated}, ready=False, started=False)],
    }


def never_started() -> dict[str, Any]:
    """A pod that was deleted before its container ran."""
    return {"phase": "Failed", "conditions": [condition("Ready", False, "PodFailed")]}


def oom_killed() -> Ending:
    """The kernel killed the container for its memory."""
    return Ending(exit_code=137, reason="OOMKilled")


def deadline_exceeded() -> Ending:
    """The pod's own activeDeadlineSeconds are over (a Job's are its controller's business)."""
    message = "Pod was active on the node longer than the specified deadline"
    return Ending(exit_code=137, reason="Error", pod_reason="DeadlineExceeded", pod_message=message)


def deadline_before_start() -> dict[str, Any]:
    """The same, before its container could run."""
    ending = deadline_exceeded()
    return {**never_started(), "reason": ending.pod_reason, "message": ending.pod_message}


def node_shut_down() -> Ending:
    """The machine is going (spot instances get a minute's notice), and the kubelet ends its pods in time."""
    message = "Pod was terminated in response to imminent node shutdown."
    return Ending(
        exit_code=143,
        reason="Error",
        pod_reason="Terminated",
        pod_message=message,
        disruption=disruption("TerminationByKubelet", message),
    )


def preempted() -> dict[str, Any]:
    """What the scheduler writes before it deletes a pod to make room for a more important one."""
    message = "default-scheduler: preempting to accommodate a higher priority pod"
    return {"conditions": [disruption("PreemptionByScheduler", message)]}


def evicted() -> Ending:
    """The node ran out of memory and chose this pod to go."""
    message = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 64Mi. "
    return Ending(
        exit_code=137,
        reason="Error",
        pod_reason="Evicted",
        pod_message=message,
        disruption=disruption("TerminationByKubelet", message),
    )


def _container(pod: Mapping[str, Any], state: Mapping[str, Any], *, ready: bool, started: bool) -> dict[str, Any]:
    container = pod["spec"]["containers"][0]
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "" if "waiting" in state else f"testnode://{container['image']}",
        "containerID": "" if "waiting" in state else _container_id(pod),
        "ready": ready,
        "started": started,
        "restartCount": 0,
        "state": dict(state),
    }


def _container_id(pod: Mapping[str, Any]) -> str:
    return f"testnode://{pod['metadata']['uid']}"
