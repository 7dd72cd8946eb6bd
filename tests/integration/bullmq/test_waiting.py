"""Work that arrives wakes us in milliseconds, without polling."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from redis.asyncio import Redis

from paperjobs.bullmq.jobqueue import BullmqJobQueue
from paperjobs.errors import RedisUnavailable
from paperjobs.model import Outcome, OutcomeKind
from support.claims import take
from support.scripted import LOCK_MS
from support.webapp import WebApp

SOON = 0.5
"""Seconds: measured in milliseconds, on a machine that does other things too."""


@asynccontextmanager
async def waiting(queue: BullmqJobQueue) -> AsyncIterator[asyncio.Task[bool]]:
    """Somebody who waits for work, for sure already in Redis."""
    task = asyncio.create_task(queue.wait_for_work())
    await asyncio.sleep(0.1)
    assert not task.done()
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, RedisUnavailable):
            await task


async def drain(queue: BullmqJobQueue) -> int:
    taken = 0
    while job := await take(queue, LOCK_MS):
        assert await queue.finish(job.id, job.claim, Outcome(kind=OutcomeKind.COMPLETED, reason="Completed"))
        taken += 1
    return taken


async def quiet(queue: BullmqJobQueue) -> None:
    """Take the wake-ups that past bursts left over."""
    with suppress(TimeoutError):
        while True:
            await asyncio.wait_for(queue.wait_for_work(), 0.1)


async def test_an_added_job_wakes_at_once(queue: BullmqJobQueue, any_web: WebApp) -> None:
    delays = []
    for _ in range(10):
        await quiet(queue)
        async with waiting(queue) as task:
            asked = time.monotonic()
            added = asyncio.create_task(any_web.add("papers"))
            await asyncio.wait_for(task, 5)
            delays.append(time.monotonic() - asked)
            await added
        assert await drain(queue) == 1

    assert sorted(delays)[len(delays) // 2] < SOON, delays


@pytest.mark.parametrize("opts", [{"priority": 5}, {"lifo": True}, {"delay": 50_000}])
async def test_every_kind_of_new_job_wakes(queue: BullmqJobQueue, web: WebApp, opts: dict[str, Any]) -> None:
    """A delayed job too: when it is due must be learned."""
    async with waiting(queue) as task:
        await web.add("papers", **opts)
        await asyncio.wait_for(task, SOON)


async def test_work_that_came_while_nobody_waited_is_not_missed(queue: BullmqJobQueue, web: WebApp) -> None:
    await web.add("papers")

    await asyncio.wait_for(queue.wait_for_work(), SOON)


async def test_resumed_queue_wakes(queue: BullmqJobQueue, any_web: WebApp) -> None:
    await any_web.ask("pause", queue="papers")
    await any_web.add("papers")
    async with waiting(queue) as task:
        await any_web.ask("resume", queue="papers")
        await asyncio.wait_for(task, SOON)


async def test_retried_and_promoted_jobs_wake(queue: BullmqJobQueue, web: WebApp) -> None:
    job_id = await web.add("papers")
    job = await take(queue, LOCK_MS)
    assert job is not None
    assert await queue.finish(job.id, job.claim, Outcome(kind=OutcomeKind.NEVER, reason="Error", message="no"))
    await quiet(queue)
    async with waiting(queue) as task:
        await web.ask("retry", queue="papers", jobId=job_id)
        await asyncio.wait_for(task, SOON)
    assert await drain(queue) == 1

    delayed = await web.add("papers", delay=60_000)
    await quiet(queue)
    async with waiting(queue) as task:
        await web.ask("promote", queue="papers", jobId=delayed)
        await asyncio.wait_for(task, SOON)
    assert await drain(queue) == 1


async def test_parent_whose_last_child_ended_wakes(queue: BullmqJobQueue, web: WebApp) -> None:
    child = {"name": "child", "queueName": "papers", "data": {}}
    await web.ask("addFlow", flow={"name": "parent", "queueName": "papers", "children": [child]})
    job = await take(queue, LOCK_MS)
    assert job is not None
    await quiet(queue)
    async with waiting(queue) as task:
        assert await queue.finish(job.id, job.claim, Outcome(kind=OutcomeKind.COMPLETED, reason="Completed"))
        await asyncio.wait_for(task, SOON)


async def test_broken_connection_is_told_and_mended(queue: BullmqJobQueue, web: WebApp, redis_client: Redis) -> None:
    async with waiting(queue) as task:
        await redis_client.client_kill_filter(_type="normal", skipme=True)
        with pytest.raises(RedisUnavailable):
            await asyncio.wait_for(task, 5)

    async with waiting(queue) as task:
        asked = time.monotonic()
        await web.add("papers")
        await asyncio.wait_for(task, 5)
        # The npm client had to connect again as well.
        assert time.monotonic() - asked < 2
    assert await drain(queue) == 1


async def test_work_that_came_while_the_connection_was_broken_is_not_missed(
    queue: BullmqJobQueue, web: WebApp, redis_client: Redis
) -> None:
    async with waiting(queue) as task:
        await redis_client.client_kill_filter(_type="normal", skipme=True)
        with pytest.raises(RedisUnavailable):
            await asyncio.wait_for(task, 5)
    await web.add("papers")

    await asyncio.wait_for(queue.wait_for_work(), SOON)


async def test_wait_that_is_given_up_does_not_swallow_later_work(queue: BullmqJobQueue, web: WebApp) -> None:
    for _ in range(20):
        task = asyncio.create_task(queue.wait_for_work())
        await asyncio.sleep(0.01)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await web.add("papers")
        await asyncio.wait_for(queue.wait_for_work(), SOON)
        assert await drain(queue) == 1
        await quiet(queue)
