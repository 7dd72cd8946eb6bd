"""What a run's Job says about its end: the time limits that were set at its launch, and the outcome with which the
operator ended it. Both are annotations, so that a restart of the operator forgets neither. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from paperjobs.kube import names
from paperjobs.model import Outcome, OutcomeKind, TimeLimits

Json = Mapping[str, Any]

AT_ONCE: Final = 1
"""activeDeadlineSeconds of a Job that is to end now; it is counted from the Job's start."""

_LIMITS: Final = re.compile(r"start=([0-9]+)s fault=([0-9]+)s run=([0-9]+)s")


def limits_text(limits: TimeLimits) -> str:
    """The annotation's text."""
    return f"start={limits.start_s}s fault={limits.fault_s}s run={limits.run_s}s"


def time_limits(job: Json) -> TimeLimits | None:
    """The limits of a run; None for a Job that was made by somebody else, or by an earlier version."""
    return _limits((job["metadata"].get("annotations") or {}).get(names.TIME_LIMITS, ""))


@lru_cache(maxsize=100)  # Thousands of runs share a few values.
def _limits(text: str) -> TimeLimits | None:
    found = _LIMITS.fullmatch(text)
    if found is None:
        return None
    start, fault, run = map(int, found.groups())
    return TimeLimits(start_s=start, fault_s=fault, run_s=run)


def ending_patch(outcome: Outcome) -> dict[str, Any]:
    """The merge patch that lets the Job controller end a Job: as at a deadline, its pod is asked to leave first."""
    text = json.dumps({"kind": outcome.kind, "reason": outcome.reason, "message": outcome.message})
    return {"metadata": {"annotations": {names.VERDICT: text}}, "spec": {"activeDeadlineSeconds": AT_ONCE}}


def verdict(job: Json) -> Outcome | None:
    """The outcome with which the operator ended a Job, if it did."""
    try:
        said = json.loads((job["metadata"].get("annotations") or {})[names.VERDICT])
        return Outcome(kind=OutcomeKind(said["kind"]), reason=str(said["reason"]), message=str(said["message"]))
    except (KeyError, TypeError, ValueError):
        return None
