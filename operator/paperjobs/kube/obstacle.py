"""Why a pod does not start, as its status says while it waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from paperjobs.kube.podoutcome import runner_state

Json = Mapping[str, Any]

UNREMARKABLE: Final = ("", "ContainerCreating", "PodInitializing")
"""Waiting reasons of a container that is simply on its way."""


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """What a pod that never ran waits for, in Kubernetes' words; empty when it does not say."""

    reason: str = ""
    message: str = ""
    fault: bool = False
    """Its node cannot start the container as it is: no image, no Secret, a wrong configuration. Waiting for a node, or
    for an image that is just being pulled, is no fault."""


def obstacle(pod: Json) -> Obstacle | None:
    """What a pod waits for, if it has never run."""
    state = runner_state(pod)
    if any((state.get(kind) or {}).get("startedAt") for kind in ("running", "terminated")):
        return None
    waiting = state.get("waiting") or {}
    if waiting.get("reason", "") not in UNREMARKABLE:
        return Obstacle(reason=str(waiting["reason"]), message=str(waiting.get("message") or ""), fault=True)
    for known in pod["status"].get("conditions") or ():
        if known["type"] == "PodScheduled" and known["status"] == "False":
            return Obstacle(reason=str(known.get("reason") or ""), message=str(known.get("message") or ""))
    return Obstacle()
