"""What became of a job, seen from outside: BullMQ's event stream, and the starts that the test node counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from support.testnode import TestNode
from support.webapp import WebApp


@dataclass(frozen=True)
class Life:
    """One job's life so far."""

    state: str
    attempts_made: int
    attempts_started: int
    claims: int
    """How often QueueEvents said that it became active."""
    ends: tuple[str, ...]
    """Its final events: exactly one when it has ended."""
    runs: int
    """Containers started for it."""
    claims_run_twice: int
    """Claims for which more than one container was started."""


ONE_RUN: Final = Life(
    state="completed", attempts_made=1, attempts_started=1, claims=1, ends=("completed",), runs=1, claims_run_twice=0
)
"""Claimed once, run once, completed once."""


async def life(app: WebApp, node: TestNode, namespace: str, queue: str, job_id: str) -> Life:
    """Look at one job."""
    seen = await app.inspect(queue, job_id)
    assert seen is not None, f"job {job_id} is lost"
    events = [event["event"] for event in await app.events(queue) if event.get("jobId") == job_id]
    runs = [one.variables for one in node.started_in(namespace) if one.variables["PAPERJOBS_JOB_ID"] == job_id]
    per_claim = Counter(variables["PAPERJOBS_CLAIM"] for variables in runs)
    return Life(
        state=seen["state"],
        attempts_made=seen["attemptsMade"],
        attempts_started=seen["attemptsStarted"],
        claims=events.count("active"),
        ends=tuple(event for event in events if event in ("completed", "failed")),
        runs=len(runs),
        claims_run_twice=sum(count > 1 for count in per_claim.values()),
    )
