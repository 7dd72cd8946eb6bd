"""What the web app sets on a queue from its side holds for us too."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from redis.asyncio import Redis

from paperjobs.bullmq.jobqueue import BullmqJobQueue
from paperjobs.model import Outcome, OutcomeKind, RateLimit
from support.claims import take
from support.scripted import LOCK_MS
from support.webapp import WebApp, web_app

COMPLETED = Outcome(kind=OutcomeKind.COMPLETED, reason="Completed")


async def claim_all(queue: BullmqJobQueue, most: int = 20) -> int:
    """How many jobs can be claimed now."""
    taken = 0
    while taken < most and await take(queue, LOCK_MS):
        taken += 1
    return taken


async def add(web: WebApp, count: int) -> None:
    await web.ask("addBulk", queue="papers", jobs=[{"name": "paper", "data": {}} for _ in range(count)])


async def test_paused_queue_gives_nothing_until_it_is_resumed(queue: BullmqJobQueue, any_web: WebApp) -> None:
    await any_web.add("papers")
    await any_web.ask("pause", queue="papers")
    await any_web.add("papers", priority=3)

    state = await queue.observe(None)
    assert state.paused
    assert state.counts.waiting == 2
    assert await claim_all(queue) == 0

    await any_web.ask("resume", queue="papers")
    assert not (await queue.observe(None)).paused
    assert await claim_all(queue) == 2


async def test_job_that_ends_while_the_queue_is_paused_is_finished(queue: BullmqJobQueue, any_web: WebApp) -> None:
    done, tried = await any_web.add("papers"), await any_web.add("papers", attempts=2)
    first, second = await take(queue, LOCK_MS), await take(queue, LOCK_MS)
    assert first is not None
    assert second is not None
    await any_web.ask("pause", queue="papers")

    assert await queue.finish(first.id, first.claim, COMPLETED)
    assert await queue.finish(second.id, second.claim, Outcome(kind=OutcomeKind.DISRUPTED, reason="Evicted"))

    assert ((await any_web.inspect("papers", done)) or {})["state"] == "completed"
    assert await claim_all(queue) == 0
    await any_web.ask("resume", queue="papers")
    again = await take(queue, LOCK_MS)
    assert again is not None
    assert (again.id, again.attempts_made, again.claim.number) == (tried, 0, 2)


@pytest.mark.parametrize("resumed_by", [5, 6])
async def test_job_that_returns_to_a_paused_queue_is_there_when_it_is_resumed(
    queue: BullmqJobQueue,
    any_web: WebApp,
    node: Path,
    webapp_dir: Path,
    valkey_port: int,
    resumed_by: int,
) -> None:
    """BullMQ 5 keeps a paused queue's jobs in a list of its own, and resuming puts that list in the place of `wait`: a
    job that returned there in between would be in neither."""
    returned, retried = await any_web.add("papers"), await any_web.add("papers", attempts=2)
    others = [await any_web.add("papers") for _ in range(2)]
    first, second = await take(queue, LOCK_MS), await take(queue, LOCK_MS)
    assert first is not None
    assert second is not None
    await any_web.ask("pause", queue="papers")
    assert await queue.finish(first.id, first.claim, Outcome(kind=OutcomeKind.DISRUPTED, reason="Evicted"))
    assert await queue.finish(second.id, second.claim, Outcome(kind=OutcomeKind.FAILED, reason="Error", message="no"))
    state = await queue.observe(None)
    assert (state.paused, state.counts.waiting) == (True, 4)

    async with web_app(node, webapp_dir, valkey_port, bullmq=resumed_by) as other:
        await other.ask("resume", queue="papers")

    claimed = [job.id for _ in range(4) if (job := await take(queue, LOCK_MS)) is not None]
    assert sorted(claimed) == sorted([returned, retried, *others])
    assert claimed[0] == returned


async def test_counts_say_where_jobs_are(queue: BullmqJobQueue, web: WebApp) -> None:
    await add(web, 4)
    await web.add("papers", priority=1)
    await web.add("papers", delay=60_000)
    job = await take(queue, LOCK_MS)
    assert job is not None
    assert await queue.finish(job.id, job.claim, COMPLETED)
    job = await take(queue, LOCK_MS)
    assert job is not None
    assert await queue.finish(job.id, job.claim, Outcome(kind=OutcomeKind.FAILED, reason="Error", message="no"))
    assert await take(queue, LOCK_MS) is not None

    state = await queue.observe(None)

    assert state.counts.waiting == 2
    assert (state.counts.active, state.counts.delayed) == (1, 1)
    assert (state.counts.completed, state.counts.failed) == (1, 1)
    assert state.next_delayed_at is not None
    assert 50_000 < state.next_delayed_at - state.now <= 60_000


async def test_lower_concurrency_that_the_app_set_is_honoured(queue: BullmqJobQueue, web: WebApp) -> None:
    await add(web, 5)
    await queue.mirror_limits(3, None)

    await web.ask("setGlobalConcurrency", queue="papers", concurrency=1)
    await queue.mirror_limits(3, None)

    assert (await queue.observe(None)).app_concurrency == 1
    assert await claim_all(queue) == 1


async def test_our_concurrency_caps_every_worker(queue: BullmqJobQueue, web: WebApp) -> None:
    await add(web, 5)
    await web.ask("setGlobalConcurrency", queue="papers", concurrency=4)

    await queue.mirror_limits(2, None)

    assert await claim_all(queue) == 2


async def test_our_own_concurrency_may_be_edited_both_ways(queue: BullmqJobQueue, web: WebApp) -> None:
    await add(web, 9)
    for concurrency, more in ((1, 1), (4, 3), (2, 0), (6, 2)):
        await queue.mirror_limits(concurrency, None)
        assert await claim_all(queue) == more, f"at {concurrency}"


async def test_concurrency_that_the_app_takes_back_is_ours_again(queue: BullmqJobQueue, web: WebApp) -> None:
    await add(web, 5)
    await queue.mirror_limits(3, None)
    await web.ask("setGlobalConcurrency", queue="papers", concurrency=1)
    await web.ask("removeGlobalConcurrency", queue="papers")

    await queue.mirror_limits(3, None)

    assert await claim_all(queue) == 3


async def test_what_the_app_set_is_honoured_again_after_ours_was_lower_for_a_while(
    queue: BullmqJobQueue, web: WebApp, redis_client: Redis
) -> None:
    await queue.mirror_limits(10, RateLimit(max=10, per_ms=1000))
    await web.ask("setGlobalConcurrency", queue="papers", concurrency=5)
    await web.ask("setGlobalRateLimit", queue="papers", max=5, durationMs=1000)
    seen = []
    for ours in (10, 3, 10):
        await queue.mirror_limits(ours, RateLimit(max=ours, per_ms=1000))
        seen.append(await redis_client.hmget("bull:papers:meta", "concurrency", "max", "duration"))
    assert seen == [["5", "5", "1000"], ["3", "3", "1000"], ["5", "5", "1000"]]


async def test_rate_limit_that_the_app_set_is_honoured(queue: BullmqJobQueue, web: WebApp) -> None:
    ours = RateLimit(max=10, per_ms=1000)
    await add(web, 5)
    await queue.mirror_limits(10, ours)

    await web.ask("setGlobalRateLimit", queue="papers", max=2, durationMs=60_000)
    await queue.mirror_limits(10, ours)

    assert await claim_all(queue) == 2
    state = await queue.observe(ours)
    assert state.window_opens_at is not None
    assert 50_000 < state.window_opens_at - state.now <= 60_000


async def test_our_rate_limit_caps_every_worker(queue: BullmqJobQueue, web: WebApp, redis_client: Redis) -> None:
    await add(web, 5)
    await web.ask("setGlobalRateLimit", queue="papers", max=1000, durationMs=1000)

    await queue.mirror_limits(10, RateLimit(max=3, per_ms=60_000))

    assert await redis_client.hmget("bull:papers:meta", "max", "duration") == ["3", "60000"]
    assert await claim_all(queue) == 3


async def test_rate_limit_that_is_edited_away_caps_nobody(
    queue: BullmqJobQueue, web: WebApp, redis_client: Redis
) -> None:
    await queue.mirror_limits(10, RateLimit(max=3, per_ms=60_000))
    await queue.mirror_limits(10, None)
    assert await redis_client.hmget("bull:papers:meta", "max", "duration") == [None, None]

    await web.ask("setGlobalRateLimit", queue="papers", max=2, durationMs=60_000)
    await queue.mirror_limits(10, None)
    assert await redis_client.hmget("bull:papers:meta", "max", "duration") == ["2", "60000"]


async def test_delayed_job_may_be_claimed_when_its_time_has_come(queue: BullmqJobQueue, web: WebApp) -> None:
    job_id = await web.add("papers", delay=200)
    state = await queue.observe(None)
    assert await take(queue, LOCK_MS) is None
    assert state.next_delayed_at is not None

    await asyncio.sleep((state.next_delayed_at - state.now) / 1000 + 0.005)

    job = await take(queue, LOCK_MS)
    assert job is not None
    assert job.id == job_id


async def test_delayed_job_is_due_by_the_servers_clock(
    queue: BullmqJobQueue, web: WebApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick sleeps until the instant that `observe` named; our machine's clock may not be there yet."""
    job_id = await web.add("papers", delay=50)
    await asyncio.sleep(0.06)
    now = time.time
    monkeypatch.setattr("time.time", lambda: now() - 5)

    state = await queue.observe(None)
    assert state.next_delayed_at is not None
    assert state.next_delayed_at <= state.now
    job = await take(queue, LOCK_MS)
    assert job is not None
    assert job.id == job_id
