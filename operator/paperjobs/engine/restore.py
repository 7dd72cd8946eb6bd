"""What Redis may have forgotten, as the cluster still knows it.

A Redis that was killed, or failed over to a replica, may have lost its latest writes, and with them starts that the
window must still count. Every run's Job carries the token of its claim and the time of its creation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from paperjobs.engine.decide import Snapshot

STAMP_MS: Final = 1_000
"""Kubernetes cuts creation times to the second: the start is taken to be as late as it can have been."""


def lost_starts(snapshot: Snapshot) -> Mapping[str, int]:
    """Times of the starts that still count in the window, by the tokens of their claims."""
    limit = snapshot.settings.rate_limit
    if limit is None:
        return {}
    ahead = snapshot.state.now - snapshot.cluster_now
    earliest = snapshot.cluster_now - limit.per_ms - STAMP_MS
    recent = [run for run in snapshot.runs if run.token and run.created_at >= earliest]
    return {run.token: run.created_at + ahead + STAMP_MS for run in recent}
