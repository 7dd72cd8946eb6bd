"""Limits are edited up and down while runs are live: zero pods are killed, and the new limit is in force in a second.

KEDA #6440 deleted running Jobs when its spec was edited, Argo #12194 took a changed semaphore only after a restart.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import redis.asyncio

from support.objects import QUEUE, Kubectl
from support.operator_process import Start
from support.queue_view import QueueView, eventually
from support.testnode import TestNode
from support.webapp import WebApp

pytestmark = pytest.mark.usefixtures("redis_client", "test_node")


@pytest.fixture
def view(kubectl: Kubectl, app: WebApp) -> QueueView:
    return QueueView(kubectl, app)


async def _active(client: redis.asyncio.Redis) -> int:
    return await client.llen(f"bull:{QUEUE}:active")


async def _active_becomes(client: redis.asyncio.Redis, count: int, seconds: float = 10.0) -> None:
    async def look() -> bool:
        return await _active(client) == count

    await eventually(look, f"{count} jobs are active", seconds)


async def test_concurrency_is_raised_and_lowered_within_a_second_and_no_pod_is_killed(
    start: Start, view: QueueView, app: WebApp, test_node: TestNode, namespace: str, redis_client: redis.asyncio.Redis
) -> None:
    await view.serve(concurrency=1)
    start()
    ids = [await app.add(QUEUE, {"seconds": 4}) for _ in range(5)]
    await _active_becomes(redis_client, 1)
    await view.says(active="1/1")

    await view.edit(concurrency=3)
    edited = time.monotonic()
    await _active_becomes(redis_client, 3)
    assert time.monotonic() - edited < 1
    await asyncio.to_thread(test_node.wait_until_running, namespace, 3)

    await view.edit(concurrency=1)
    edited = time.monotonic()
    await view.says(active="3/1", reason="ConcurrencyFull")
    assert time.monotonic() - edited < 2, "the status is written once a second"
    most_beside_the_three = 0
    for job_id in ids:
        while (await view.job(job_id))["state"] != "completed":
            running = test_node.running(namespace)
            most_beside_the_three = max(most_beside_the_three, len(running[3:]))
            await asyncio.sleep(0.05)
    started = test_node.started_in(namespace)
    assert [container.exit_code for container in started] == [0] * 5, "no pod was killed"
    first_end = min(container.at for container in started[:3]) + 4
    assert min(container.at for container in started[3:]) > first_end
    assert most_beside_the_three == 0
    assert started[4].at - started[3].at >= 4, "one at a time again"


async def test_a_rate_limit_is_tightened_and_loosened_within_a_second(
    start: Start, view: QueueView, app: WebApp, redis_client: redis.asyncio.Redis
) -> None:
    await view.serve(concurrency=10, rateLimit={"max": 2, "per": "10m"})
    start()
    for _ in range(6):
        await app.add(QUEUE, {"seconds": 60})
    await _active_becomes(redis_client, 2)
    await view.says(reason="WindowFull")

    await view.edit(rateLimit={"max": 4, "per": "10m"})
    edited = time.monotonic()
    await _active_becomes(redis_client, 4)
    assert time.monotonic() - edited < 1

    await view.edit(rateLimit={"max": 1, "per": "10m"})
    await view.says(rate="4/1 per 600s", reason="WindowFull")
    await asyncio.sleep(1)
    assert await _active(redis_client) == 4, "the runs that live go on, and none is added"

    await view.edit(rateLimit=None)
    edited = time.monotonic()
    await _active_becomes(redis_client, 6)
    assert time.monotonic() - edited < 1


@pytest.mark.parametrize(
    ("off", "on", "reason"),
    [
        pytest.param({"suspend": True}, {"suspend": False}, "Suspended", id="suspend"),
        pytest.param({"concurrency": 0}, {"concurrency": 2}, "ConcurrencyZero", id="concurrency 0"),
    ],
)
async def test_a_queue_that_is_switched_off_drains_and_says_how_it_was_switched_off(
    start: Start,
    view: QueueView,
    app: WebApp,
    test_node: TestNode,
    namespace: str,
    off: dict[str, Any],
    on: dict[str, Any],
    reason: str,
) -> None:
    await view.serve(concurrency=2)
    start()
    running = await app.add(QUEUE, {"seconds": 3})
    await asyncio.to_thread(test_node.wait_until_running, namespace)
    await view.edit(**off)
    await view.says(reason=reason)
    waiting = await app.add(QUEUE)
    assert (await view.reaches(running, "completed"))["attemptsMade"] == 1
    assert (await view.job(waiting))["state"] == "waiting"
    await view.edit(**on)
    await view.reaches(waiting, "completed", seconds=10)


async def test_a_queue_that_the_web_app_paused_drains_and_says_so(
    start: Start, view: QueueView, app: WebApp, test_node: TestNode, namespace: str
) -> None:
    await view.serve(concurrency=2)
    start()
    running = await app.add(QUEUE, {"seconds": 3})
    await asyncio.to_thread(test_node.wait_until_running, namespace)
    await app.ask("pause", queue=QUEUE)
    waiting = await app.add(QUEUE)
    await view.reaches(running, "completed")
    status = await view.says(reason="Paused")
    assert "pause()" in status["message"]
    assert (await view.job(waiting))["attemptsStarted"] == 0
    await app.ask("resume", queue=QUEUE)
    await view.reaches(waiting, "completed", seconds=10)


async def test_a_shortened_timeout_touches_no_run_that_exists(
    start: Start, view: QueueView, app: WebApp, test_node: TestNode, namespace: str
) -> None:
    await view.serve()
    start()
    job_id = await app.add(QUEUE, {"seconds": 7})
    await asyncio.to_thread(test_node.wait_until_running, namespace)
    await view.edit(timeout="1s", startTimeout="1s", imageGrace="1s")
    await view.reaches(job_id, "completed")
