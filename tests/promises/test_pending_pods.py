"""Pods stay Pending for minutes while a cluster gets more nodes: still one Job for each item, and the slot is held.

KEDA #6727 and #7329 made more Jobs than items, Prefect #19840 gave the slot away, Airflow #35676 launched again after a
restart.
"""

from __future__ import annotations

import asyncio

import pytest

from support.objects import QUEUE, Kubectl
from support.operator_process import Start
from support.queue_view import QueueView
from support.testnode import Fault, TestNode
from support.webapp import WebApp

pytestmark = pytest.mark.usefixtures("redis_client")


@pytest.fixture
def view(kubectl: Kubectl, app: WebApp) -> QueueView:
    return QueueView(kubectl, app)


async def test_a_pod_without_a_node_keeps_one_job_and_its_slot_over_a_restart_of_the_operator(
    start: Start, view: QueueView, app: WebApp, test_node: TestNode, namespace: str
) -> None:
    test_node.inject(Fault.UNSCHEDULABLE, namespace=namespace)
    await view.serve(concurrency=1)
    operator = start()
    first, second = [await app.add(QUEUE) for _ in range(2)]
    shown = await view.shows(first, phase="Pending", reason="Unschedulable")
    assert "0/1 nodes are available" in shown["message"]

    operator.process.kill()
    start()
    await asyncio.sleep(12)  # the killed leader's lease, and then some ticks
    await view.says(active="1/1", waiting=1, reason="ConcurrencyFull")
    [job] = await view.items("jobs")
    assert job["metadata"]["annotations"]["paperjobs.dev/job-id"] == first

    test_node.heal()
    for job_id in (first, second):
        ended = await view.reaches(job_id, "completed")
        assert (ended["attemptsMade"], ended["attemptsStarted"]) == (1, 1)
    assert len(test_node.started_in(namespace)) == 2


async def test_waiting_for_a_node_takes_nothing_from_the_time_to_run(
    start: Start, view: QueueView, app: WebApp, test_node: TestNode, namespace: str
) -> None:
    test_node.inject(Fault.UNSCHEDULABLE, namespace=namespace)
    await view.serve(timeout="3s", startTimeout="60s")
    start()
    job_id = await app.add(QUEUE, {"seconds": 2})
    await view.shows(job_id, reason="Unschedulable")
    await asyncio.sleep(4)
    test_node.heal()
    await view.reaches(job_id, "completed")


async def test_a_pod_that_finds_no_node_in_time_fails_with_that_reason_and_frees_its_slot(
    start: Start, view: QueueView, app: WebApp, test_node: TestNode, namespace: str
) -> None:
    test_node.inject(Fault.UNSCHEDULABLE, namespace=namespace, pods=1)
    await view.serve(concurrency=1, startTimeout="3s")
    start()
    stuck, behind = [await app.add(QUEUE) for _ in range(2)]
    ended = await view.reaches(stuck, "failed")
    assert ended["attemptsMade"] == 1
    assert "did not start within 3 s, its queue's startTimeout: Unschedulable: 0/1 nodes" in ended["failedReason"]
    await view.shows(stuck, phase="Failed", reason="Unschedulable")
    await view.reaches(behind, "completed")
