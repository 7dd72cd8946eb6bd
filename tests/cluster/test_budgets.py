"""ApiBudgets on a real control plane: what people see of them, and what editing them or a 429 does to every queue."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from bullmq import Queue

from paperjobs.bullmq.budgets import Budgets
from paperjobs.model import Budget
from paperjobs_runner.contract import BUDGET_LIMITS
from paperjobs_runner.store.migrate import upgrade
from paperjobs_standins.server import Standins
from support.controlplane import ControlPlane
from support.objects import QUEUE, Kubectl, add, paperqueue, phases
from support.operator_process import Start, operator_processes, until
from support.testnode import RUNNER_IMAGE, TestNode
from support.tools import ROOT

pytestmark = pytest.mark.usefixtures("redis_client", "test_node")

ARXIV = Budget(name="arxiv", max=1, per_ms=3_000)


def apibudget(name: str = "arxiv", *, most: int = 1, per: str = "3s") -> str:
    body = {
        "apiVersion": "paperjobs.dev/v1alpha1",
        "kind": "ApiBudget",
        "metadata": {"name": name},
        "spec": {"limit": {"max": most, "per": per}},
    }
    return json.dumps(body)


def shown(kubectl: Kubectl, what: str) -> dict[str, Any]:
    """The status of an object."""
    status: dict[str, Any] = json.loads(kubectl("get", what, "-o", "json")).get("status", {})
    return status


async def eventually(look: Callable[[], Any], seconds: float = 20) -> Any:
    return await asyncio.to_thread(until, look, seconds)


async def test_a_hold_is_shown_with_the_run_that_was_asked_and_taken_away_when_it_is_over(
    start: Start, kubectl: Kubectl, valkey_port: int, redis_client: redis.asyncio.Redis
) -> None:
    kubectl("apply", "-f", "-", stdin=apibudget())
    kubectl("apply", "-f", "-", stdin=paperqueue(budgets=["arxiv"]))
    until(start().ready)
    budgets = Budgets(redis_client)
    await redis_client.zadd(ARXIV.key("calls"), {"call": int(time.time() * 1000)})
    await budgets.hold(ARXIV, 6_000, "institution-extraction-0123456789ab")
    await add(valkey_port, {"paperId": "1"})

    await eventually(lambda: shown(kubectl, "ab/arxiv").get("heldBy") == "institution-extraction-0123456789ab")
    assert shown(kubectl, "ab/arxiv")["heldUntil"].endswith("Z")
    header, row = kubectl("get", "apibudgets").splitlines()
    assert header.split() == ["NAME", "MAX", "PER", "USED", "HELD", "UNTIL", "AGE"]
    assert row.split()[:3] == ["arxiv", "1", "3s"]
    await eventually(lambda: shown(kubectl, "pq/institutions").get("reason") == "Held")
    assert "the budget arxiv is held" in shown(kubectl, "pq/institutions")["message"]
    assert phases(kubectl) == []

    await eventually(lambda: phases(kubectl) == ["Completed"])
    await eventually(lambda: "heldUntil" not in shown(kubectl, "ab/arxiv"))
    assert "heldBy" not in shown(kubectl, "ab/arxiv")
    await eventually(lambda: shown(kubectl, "ab/arxiv").get("used") == 0, 45)


async def test_an_edited_limit_is_in_force_within_a_second_for_pods_that_run_and_for_the_next_ones(
    start: Start, kubectl: Kubectl, valkey_port: int, redis_client: redis.asyncio.Redis
) -> None:
    kubectl("apply", "-f", "-", stdin=apibudget())
    kubectl("apply", "-f", "-", stdin=paperqueue(budgets=["arxiv"]))
    until(start().ready)
    await eventually(lambda: shown(kubectl, "pq/institutions").get("active"))
    assert await redis_client.hget(BUDGET_LIMITS, "arxiv") == "1/3000"

    limit = json.dumps({"spec": {"limit": {"max": 4, "per": "9s"}}})
    await asyncio.to_thread(kubectl, "patch", "ab", "arxiv", "--type=merge", "-p", limit)
    async with asyncio.timeout(1):
        while await redis_client.hget(BUDGET_LIMITS, "arxiv") != "4/9000":  # noqa: ASYNC110 - no event for that
            await asyncio.sleep(0.01)

    [job_id] = await add(valkey_port, {"paperId": "1", "echo": ["PAPERJOBS_BUDGETS"]})
    await eventually(lambda: phases(kubectl) == ["Completed"])
    told = json.loads(str(await redis_client.hget(f"bull:{QUEUE}:{job_id}", "returnvalue")))["PAPERJOBS_BUDGETS"]
    assert json.loads(told) == {"arxiv": {"max": 4, "perMs": 9_000}}


async def test_a_429_in_one_queues_pod_holds_both_queues_and_both_papers_are_done_at_their_first_attempt(
    control_plane: ControlPlane,
    crds: None,
    kubectl: Kubectl,
    namespace: str,
    test_node: TestNode,
    valkey_port: int,
    redis_client: redis.asyncio.Redis,
    tmp_path: Path,
) -> None:
    upgrade(f"sqlite:///{tmp_path}/papers.db")
    kubectl("apply", "-f", str(ROOT / "crds" / "rbac" / "operator.yaml"))
    kubectl("apply", "-f", "-", stdin=apibudget(most=50))
    kubeconfig = control_plane.kubeconfig_of(namespace, "paperjobs-operator")
    with (
        Standins(["arxiv", "anthropic", "s3"]) as standins,
        operator_processes(tmp_path, kubeconfig, valkey_port, RUNNER_IMAGE) as start,
    ):
        variables = standins.env() | {
            "DATABASE_URL": f"sqlite:///{tmp_path}/papers.db",
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(valkey_port),
        }
        runner = {"env": [{"name": name, "value": value} for name, value in variables.items()]}
        for queue in (QUEUE, "second"):
            kubectl("apply", "-f", "-", stdin=paperqueue(queue, queue=queue, budgets=["arxiv"], runner=runner))
        until(start().ready)

        standins.arxiv.fault("status", status=429, retry_after=70)  # longer than a pod waits
        papers = {QUEUE: "1706.03762", "second": "1412.6980"}
        jobs: dict[str, str] = {}
        for queue, paper in papers.items():
            data = {"paperId": paper, "arxivUrl": f"https://arxiv.org/abs/{paper}"}
            added = await Queue(queue, {"connection": redis_client}).add("paper", data, {"attempts": 1})
            jobs[queue] = str(added.id)
            await eventually(lambda: shown(kubectl, f"pq/{QUEUE}").get("reason") == "Held", 60)
        await eventually(lambda: shown(kubectl, "pq/second").get("reason") == "Held")
        assert "asked institution-extraction-" in shown(kubectl, "pq/second")["message"]
        assert shown(kubectl, "ab/arxiv")["heldBy"].startswith("institution-extraction-")
        assert len(standins.arxiv.requests) == 1

        # Nobody need wait for a minute here: somebody has spoken with arXiv, and takes the hold away.
        await redis_client.delete(ARXIV.key("hold"))
        await eventually(lambda: phases(kubectl) == ["Completed", "Completed"], 90)
        for queue, job_id in jobs.items():
            assert await redis_client.zscore(f"bull:{queue}:completed", job_id) is not None
            assert await redis_client.hget(f"bull:{queue}:{job_id}", "atm") == "1"
