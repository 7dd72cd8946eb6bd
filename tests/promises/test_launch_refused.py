"""What the API server would refuse is found before a job is claimed; what is refused all the same costs no attempt.

A claim that is given back and made again in a circle would wander through the queue and use up the window.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from support.objects import QUEUE, Kubectl
from support.operator_process import OperatorProcess, Start
from support.queue_view import QueueView
from support.testnode import TestNode
from support.webapp import WebApp

pytestmark = pytest.mark.usefixtures("redis_client", "test_node")

WRONG = {"resources": {"requests": {"cpu": "many"}}}
"""The CRD takes any quantity for a string; the API server does not."""


@pytest.fixture
def view(kubectl: Kubectl, app: WebApp) -> QueueView:
    return QueueView(kubectl, app)


async def _quota(view: QueueView, **hard: str) -> None:
    """A quota of which nothing is used yet, as the quota controller, which does not run here, would write it."""
    limits = {name.replace("__", "/").replace("_", "."): value for name, value in hard.items()}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": limits}}
    await view.call("create", "-f", "-", stdin=json.dumps(body))
    counted = {"status": {"hard": limits, "used": dict.fromkeys(limits, "0")}}
    await view.call("patch", "quota", "small", "--subresource=status", "--type=merge", "-p", json.dumps(counted))


def _count(operator: OperatorProcess, action: str) -> int:
    return operator.actions().count(action)


async def test_a_wrong_template_is_found_before_anything_is_claimed_and_a_mended_one_works_at_once(
    start: Start, view: QueueView, app: WebApp
) -> None:
    await view.serve(runner=WRONG)
    job_id = await app.add(QUEUE)
    operator = start()
    status = await view.says(reason="LaunchRefused", waiting=1, active="0/2")
    assert "quantities must match" in status["message"]
    assert (await view.ready())[:2] == ("False", "LaunchRefused")
    await asyncio.sleep(2)
    seen = await view.job(job_id)
    assert (seen["state"], seen["attemptsStarted"]) == ("waiting", 0)
    assert await view.items("paperjobs") == []
    assert _count(operator, "launch_refused") == 1, "one line for each change of state"

    await view.edit(runner={"resources": None})
    await view.reaches(job_id, "completed", seconds=5)
    await view.says(reason="Idle")
    assert (await view.ready())[:2] == ("True", "Served")
    assert _count(operator, "launch_accepted") == 1


async def test_a_template_that_is_broken_later_leaves_the_live_run_alone(
    start: Start, view: QueueView, app: WebApp, test_node: TestNode, namespace: str
) -> None:
    await view.serve()
    start()
    running = await app.add(QUEUE, {"seconds": 3, "report": {"result": {"n": 7}}})
    await asyncio.to_thread(test_node.wait_until_running, namespace)
    await view.edit(runner=WRONG)
    await view.says(reason="LaunchRefused")
    waiting = await app.add(QUEUE)
    assert (await view.reaches(running, "completed"))["returnvalue"] == {"n": 7}
    assert (await view.job(waiting))["attemptsStarted"] == 0


async def test_under_a_full_quota_nothing_is_claimed_until_it_has_room(
    start: Start, view: QueueView, app: WebApp
) -> None:
    await _quota(view, count__jobs_batch="0")
    await view.serve()
    job_id = await app.add(QUEUE)
    start()
    status = await view.says(reason="LaunchRefused")
    assert "exceeded quota: small" in status["message"]
    assert (await view.job(job_id))["attemptsStarted"] == 0
    await view.call("delete", "quota", "small")
    ended = await view.reaches(job_id, "completed")
    assert (ended["attemptsMade"], ended["attemptsStarted"]) == (1, 1)


async def test_a_job_that_meets_a_full_quota_goes_back_once_and_loses_no_attempt(
    start: Start, view: QueueView, app: WebApp
) -> None:
    await _quota(view, count__jobs_batch="1")
    await view.serve(concurrency=2)
    ids = [await app.add(QUEUE, {"seconds": 1}) for _ in range(2)]
    start()
    await view.says(reason="LaunchRefused", waiting=1, active="0/2")
    jobs = {seen["state"]: seen for seen in [await view.job(job_id) for job_id in ids]}
    assert jobs.keys() == {"completed", "waiting"}
    await asyncio.sleep(6)
    refused = await view.job(jobs["waiting"]["id"])
    assert (refused["attemptsStarted"], refused["attemptsMade"]) == (1, 0), "asked about, not claimed again"
    await view.call("delete", "quota", "small")
    ended = await view.reaches(refused["id"], "completed")
    assert (ended["attemptsMade"], ended["attemptsStarted"]) == (1, 2)


@pytest.mark.parametrize("lifted", [True, False], ids=["lifted in time", "never lifted"])
async def test_a_pod_that_is_refused_holds_the_queue_and_costs_no_attempt(
    start: Start, view: QueueView, app: WebApp, lifted: bool
) -> None:
    await _quota(view, pods="0")
    spec: dict[str, Any] = {} if lifted else {"startTimeout": "6s"}
    await view.serve(concurrency=1, **spec)
    start()
    first = await app.add(QUEUE)
    await view.edit(concurrency=2)
    status = await view.says(reason="FailedCreate")
    assert "exceeded quota: small" in status["message"]
    assert (await view.ready())[:2] == ("False", "FailedCreate")
    second = await app.add(QUEUE)
    await view.shows(first, phase="Pending", reason="FailedCreate")
    assert (await view.job(second))["attemptsStarted"] == 0
    if lifted:
        await view.call("delete", "quota", "small")
        for job_id in (first, second):
            ended = await view.reaches(job_id, "completed", seconds=60)
            assert (ended["attemptsMade"], ended["attemptsStarted"]) == (1, 1)
        return
    seen = await view.job(first)
    while seen["attemptsStarted"] < 2:
        await asyncio.sleep(0.2)
        seen = await view.job(first)
    assert (seen["attemptsMade"], seen["failedReason"]) == (0, None)


async def test_our_own_pods_pass_the_restricted_pod_security_standard(
    start: Start, view: QueueView, app: WebApp, namespace: str
) -> None:
    await view.call("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    await view.serve()
    start()
    await view.reaches(await app.add(QUEUE), "completed")
