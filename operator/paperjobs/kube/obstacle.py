"""Why a pod does not start, as its status says while it waits; and what that means when its time is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from paperjobs.kube.podoutcome import DETAIL_LIMIT, runner_state
from paperjobs.model import Outcome, OutcomeKind

Json = Mapping[str, Any]

UNREMARKABLE: Final = ("", "ContainerCreating", "PodInitializing")
"""Waiting reasons of a pod that is simply on its way."""


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """What a pod that never ran was waiting for, in Kubernetes' words; empty when it did not say."""

    reason: str = ""
    message: str = ""


def obstacle(pod: Json) -> Obstacle | None:
    """What a pod waits for, if it has never run."""
    state = runner_state(pod)
    if any((state.get(kind) or {}).get("startedAt") for kind in ("running", "terminated")):
        return None
    waiting = state.get("waiting") or {}
    if waiting.get("reason", "") not in UNREMARKABLE:
        return Obstacle(reason=str(waiting["reason"]), message=str(waiting.get("message") or ""))
    for known in pod["status"].get("conditions") or ():
        if known["type"] == "PodScheduled" and known["status"] == "False":
            return Obstacle(reason=str(known.get("reason") or ""), message=str(known.get("message") or ""))
    return Obstacle()


def never_started(timeout_s: int, found: Obstacle) -> Outcome:
    """The outcome of a run whose time was over before its pod ran; counts as an attempt."""
    detail = ": ".join(part for part in (found.reason, found.message[:DETAIL_LIMIT]) if part)
    return Outcome(
        kind=OutcomeKind.FAILED,
        reason=found.reason or "DeadlineExceeded",
        message=f"the run's pod did not start within {timeout_s} s" + (f": {detail}" if detail else ""),
    )
