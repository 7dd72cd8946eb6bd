"""kill -9 the operator between any two steps: every job runs exactly once, ends exactly once.

Airflow #35676 launched pending pods again after a restart, Kueue #1450 over-committed, Argo #11098 forgot the holder.
Each case lets one replica kill itself at one point of a job's life; another, standing by, finds what is left.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from support.crashing_operator import LEASE_SECONDS, STRIKE
from support.lives import Life, life
from support.objects import QUEUE, Kubectl, clear_up, paperqueue
from support.operator_process import OperatorProcess, Start, until
from support.testnode import TestNode
from support.webapp import WebApp

FAILS_ONCE: Final = {"attempts": [{"exit": 75}, {"exit": 0, "report": {"result": {"n": 7}}}]}
"""Two claims, two runs, two hand-overs to BullMQ: both kinds of end are passed."""

LIMITED_ONCE: Final = {"first": {"exit": 69, "report": {"retryAfterMs": 200}}, "report": {"result": {"n": 7}}}
"""The first run is asked by a service to wait: it costs no attempt, but a second claim."""

FAILED_ONCE: Final = Life(
    state="completed", attempts_made=2, attempts_started=2, claims=2, ends=("completed",), runs=2, claims_run_twice=0
)

POINTS: Final = (
    "before:take-lease",
    "after:take-lease",
    "before:observe",
    "before:claim",
    "after:claim",
    "before:create-paperjob",
    "after:create-paperjob",
    "before:create-job",
    "after:create-job",
    "before:record",
    "after:record",
    "before:show-job",
    "after:show-job",
    "before:finish",
    "after:finish",
    "after:claim:2",
    "after:create-job:2",
    "before:finish:2",
    "after:finish:2",
    "before:delete-paperjob",
    "after:delete-paperjob",
)
"""In the order of a job's life. The first run fails, so claim, Job and finish come twice; `:2` is the second time."""

pytestmark = pytest.mark.usefixtures("redis_client")


async def _die_and_recover(start: Start, kubectl: Kubectl, app: WebApp, strike: str, job: dict[str, Any]) -> list[str]:
    """Let a replica with this strike and, after its death, another serve two jobs to their ends; the jobs' ids."""
    victim = start(**{STRIKE: strike, LEASE_SECONDS: "2"})
    heir = await asyncio.to_thread(_heir_behind, victim, start)
    job_ids = [await app.add(QUEUE, job, attempts=2) for _ in range(2)]
    assert await asyncio.to_thread(victim.process.wait, 60) == -9, "the point was never reached"
    for job_id in job_ids:
        await app.wait(QUEUE, job_id, seconds=60)
    await asyncio.to_thread(clear_up, kubectl)
    assert "lead" in heir.actions()
    return job_ids


def _heir_behind(victim: OperatorProcess, start: Start) -> OperatorProcess:
    """Another replica, started when the lease is the victim's."""
    until(lambda: "lead" in victim.actions() or victim.process.poll() is not None, 60)
    return start(**{LEASE_SECONDS: "2"})


@pytest.mark.parametrize("strike", POINTS)
async def test_a_kill_between_any_two_steps_repeats_no_run_and_no_end(
    start: Start, kubectl: Kubectl, app: WebApp, test_node: TestNode, namespace: str, strike: str
) -> None:
    history = {"completed": 0, "failed": 0}
    kubectl("apply", "-f", "-", stdin=paperqueue(concurrency=1, rateLimit={"max": 50, "per": "60s"}, history=history))
    for job_id in await _die_and_recover(start, kubectl, app, strike, FAILS_ONCE):
        assert await life(app, test_node, namespace, QUEUE, job_id) == FAILED_ONCE


@pytest.mark.parametrize("strike", ["before:hold", "after:hold", "after:finish"])
async def test_a_kill_while_a_rate_limited_job_is_returned_costs_it_no_attempt(
    start: Start, kubectl: Kubectl, app: WebApp, test_node: TestNode, namespace: str, tmp_path: Path, strike: str
) -> None:
    log = {"name": "SCRIPTED_LOG", "value": str(tmp_path / "runs.log")}
    history = {"completed": 0, "failed": 0}
    kubectl("apply", "-f", "-", stdin=paperqueue(concurrency=1, history=history, runner={"env": [log]}))
    for job_id in await _die_and_recover(start, kubectl, app, strike, LIMITED_ONCE):
        assert await life(app, test_node, namespace, QUEUE, job_id) == replace(FAILED_ONCE, attempts_made=1)
