"""Status conditions in Kubernetes' form (metav1.Condition), whose time moves only when the status does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from paperjobs.kube.timestamps import to_text

MESSAGE_LIMIT: Final = 2000
"""Characters of a condition's message: enough for a sentence, small in etcd."""


def condition(
    body: Mapping[str, Any], kind: str, *, holds: bool, reason: str, message: str, now: int
) -> dict[str, Any]:
    """A condition for `body`, the object as last seen; `now` in Unix ms is used if the condition changes."""
    status = "True" if holds else "False"
    since = to_text(now)
    for known in (body.get("status") or {}).get("conditions") or ():
        if known.get("type") == kind and known.get("status") == status:
            since = known.get("lastTransitionTime", since)
    return {
        "type": kind,
        "status": status,
        "observedGeneration": body["metadata"].get("generation", 0),
        "lastTransitionTime": since,
        "reason": reason,
        "message": message[:MESSAGE_LIMIT],
    }
