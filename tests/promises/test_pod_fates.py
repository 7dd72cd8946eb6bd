"""However a pod ends, the web app and people are told what happened, and only what is the job's fault costs an attempt.

Dagster #3705 and #33755 lost track of evicted pods, and Kubernetes' own retries fought those of the orchestrator.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from support.objects import QUEUE, Kubectl
from support.operator_process import Start
from support.queue_view import QueueView
from support.testnode import BARE_IMAGE, Started, TestNode
from support.webapp import WebApp

pytestmark = pytest.mark.usefixtures("redis_client", "test_node")


@pytest.fixture
def view(kubectl: Kubectl, app: WebApp) -> QueueView:
    return QueueView(kubectl, app)


async def _running(test_node: TestNode, namespace: str) -> Started:
    [container] = await asyncio.to_thread(test_node.wait_until_running, namespace)
    return container


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        pytest.param(
            {"timeout": "1s"},
            "DeadlineExceeded",
            "ended after 1 s, its queue's timeout; if it needs longer, raise spec.timeout",
            id="runs for too long",
        ),
        pytest.param(
            {"runner": {"image": "nowhere/none:1"}},
            "ImagePullBackOff",
            'ImagePullBackOff: Back-off pulling image "nowhere/none:1"',
            id="its image is missing",
        ),
        pytest.param(
            {"runner": {"envFrom": [{"secretRef": {"name": "forgotten"}}]}},
            "CreateContainerConfigError",
            'secret "forgotten" not found',
            id="a Secret is missing",
        ),
        pytest.param(
            {"runner": {"image": BARE_IMAGE}},
            "StartError",
            "the runner could not be started",
            id="its image has nothing to run",
        ),
    ],
)
async def test_a_run_that_cannot_succeed_fails_with_its_own_reason_and_costs_an_attempt(
    start: Start, view: QueueView, app: WebApp, spec: dict[str, Any], reason: str, words: str
) -> None:
    await view.serve(imageGrace="2s", concurrency=1, **spec)
    start()
    job_id = await app.add(QUEUE, {"seconds": 60})
    ended = await view.reaches(job_id, "failed")
    assert ended["attemptsMade"] == 1
    assert words in ended["failedReason"]
    shown = await view.shows(job_id, phase="Failed", reason=reason)
    assert shown["message"] == ended["failedReason"]
    await view.says(active="0/1")


async def test_a_run_out_of_memory_is_tried_again_as_often_as_the_producer_said(
    start: Start, view: QueueView, app: WebApp, test_node: TestNode, namespace: str
) -> None:
    await view.serve()
    start()
    job_id = await app.add(QUEUE, {"seconds": 60}, attempts=2)
    for attempt in (1, 2):
        test_node.oom_kill(await _running(test_node, namespace))
        if attempt == 1:
            seen = await view.reaches(job_id, "active")
            assert seen["attemptsMade"] <= 1
            while len(test_node.started_in(namespace)) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    ended = await view.reaches(job_id, "failed")
    assert ended["attemptsMade"] == 2
    assert "more memory than its limit; raise runner.resources.limits.memory" in ended["failedReason"]
    await view.shows(job_id, phase="Failed", reason="OOMKilled", attempt=2)


async def test_a_run_that_hangs_while_no_operator_is_there_is_ended_by_its_node_and_told_of_later(
    start: Start, view: QueueView, app: WebApp, test_node: TestNode, namespace: str
) -> None:
    await view.serve(timeout="1s", startTimeout="5s")
    operator = start()
    job_id = await app.add(QUEUE, {"seconds": 60})
    container = await _running(test_node, namespace)
    await view.shows(job_id, phase="Running")
    assert await asyncio.to_thread(operator.stop) == 0
    async with asyncio.timeout(10):
        while container.exit_code is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    start()
    ended = await view.reaches(job_id, "failed")
    assert (ended["attemptsMade"], ended["attemptsStarted"]) == (1, 1)
    assert "the run's node ended it after its queue's timeout" in ended["failedReason"]
    await view.shows(job_id, phase="Failed", reason="DeadlineExceeded")


Disruption = Callable[[TestNode, Started, Kubectl], None]


def _lose(node: TestNode, container: Started, _: Kubectl) -> None:
    node.lose(container)
    node.collect_lost(container)


def _drain(_: TestNode, container: Started, kubectl: Kubectl) -> None:
    """As `kubectl drain` does with every pod of a node."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": container.pod}}
    path = f"/api/v1/namespaces/{container.namespace}/pods/{container.pod}/eviction"
    kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))


@pytest.mark.parametrize(
    "disrupt",
    [
        pytest.param(lambda node, container, _: node.evict(container), id="evicted: its node is short of memory"),
        pytest.param(_drain, id="evicted: its node is drained"),
        pytest.param(lambda node, container, _: node.preempt(container), id="preempted by a more important pod"),
        pytest.param(lambda node, container, _: node.shut_down(container), id="its spot instance is taken away"),
        pytest.param(_lose, id="its node is lost"),
    ],
)
async def test_a_disruption_costs_no_attempt_and_the_job_runs_again(
    start: Start,
    view: QueueView,
    app: WebApp,
    test_node: TestNode,
    namespace: str,
    disrupt: Disruption,
) -> None:
    await view.serve(concurrency=1)
    start()
    job_id = await app.add(QUEUE, {"seconds": 3, "report": {"result": {"n": 7}}})  # one attempt is all it has
    first = await _running(test_node, namespace)
    await asyncio.to_thread(disrupt, test_node, first, view.kubectl)
    ended = await view.reaches(job_id, "completed")
    assert (ended["attemptsMade"], ended["attemptsStarted"], ended["failedReason"]) == (1, 2, None)
    assert ended["returnvalue"] == {"n": 7}
    assert len(test_node.started_in(namespace)) == 2
    await view.shows(job_id, phase="Completed", attempt=1)
    await view.says(active="0/1")


async def test_a_lost_node_keeps_the_slot_until_its_pod_is_gone_for_good(
    start: Start, view: QueueView, app: WebApp, test_node: TestNode, namespace: str
) -> None:
    await view.serve(concurrency=1)
    start()
    job_id = await app.add(QUEUE, {"seconds": 2})
    lost = await _running(test_node, namespace)
    await asyncio.to_thread(test_node.lose, lost)
    await asyncio.sleep(2)
    assert len(test_node.started_in(namespace)) == 1, "nobody knows whether the lost pod still runs"
    await view.says(active="1/1")
    await asyncio.to_thread(test_node.collect_lost, lost)
    ended = await view.reaches(job_id, "completed")
    assert (ended["attemptsMade"], ended["attemptsStarted"]) == (1, 2)
