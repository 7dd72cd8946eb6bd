"""One step claims a job and counts its start; a replica whose term is over can do neither."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from bullmq import Worker
from redis.asyncio import Redis

from paperjobs.bullmq.jobqueue import BullmqJobQueue, eviction_problem, new_token
from paperjobs.engine.loop import QueueLoop
from paperjobs.errors import NoLongerLeading
from paperjobs.model import Job, LockState, Outcome, OutcomeKind, QueueSettings, RateLimit, WindowFull
from paperjobs.settings import RedisSettings
from support.claims import take
from support.engine_bench import Log
from support.memory_cluster import MemoryCluster
from support.scripted import LOCK_MS
from support.webapp import WebApp

QUEUE = "papers"
MINUTE = RateLimit(max=2, per_ms=60_000)
STARTS = "bull:papers:paperjobs:starts"


async def starts(redis: Redis) -> list[int]:
    """When each start was counted, in order."""
    tokens = await redis.zrange(STARTS, 0, -1)
    return sorted([int(await redis.zscore(STARTS, str(token)) or 0) for token in tokens])


@pytest.fixture
async def of_term(redis_client: Redis, valkey_port: int) -> AsyncIterator[Callable[..., BullmqJobQueue]]:
    """Makes the adapter of a leader's term, of the installation `test` unless named."""
    async with AsyncExitStack() as opened:

        def make(term: int, installation: str = "test") -> BullmqJobQueue:
            settings = QueueSettings(name=QUEUE, queue=QUEUE, pipeline="p", concurrency=2)
            adapter = BullmqJobQueue(settings, RedisSettings(host="127.0.0.1", port=valkey_port), installation, term)
            opened.push_async_callback(adapter.close)
            return adapter

        yield make


async def test_a_claim_counts_its_start_and_a_full_window_claims_nothing(
    queue: BullmqJobQueue, web: WebApp, redis_client: Redis
) -> None:
    for _ in range(3):
        await web.add(QUEUE, {"n": 1})
    claimed = [await queue.claim(new_token("test"), LOCK_MS, MINUTE) for _ in range(3)]
    first, second, third = claimed
    assert isinstance(first, Job)
    assert isinstance(second, Job)
    oldest = (await starts(redis_client))[0]
    assert third == WindowFull(opens_at=oldest + 60_001)
    assert await redis_client.llen("bull:papers:wait") == 1
    assert set(await redis_client.zrange(STARTS, 0, -1)) == {first.claim.token, second.claim.token}


async def test_a_claim_that_finds_no_job_counts_no_start(queue: BullmqJobQueue, redis_client: Redis) -> None:
    assert await queue.claim(new_token("test"), LOCK_MS, MINUTE) is None
    assert await redis_client.zcard(STARTS) == 0


async def test_a_hold_that_begins_after_the_observation_still_stops_the_claim(
    queue: BullmqJobQueue, web: WebApp
) -> None:
    await web.add(QUEUE, {"n": 1})
    await queue.hold(60_000)
    assert isinstance(await queue.claim(new_token("test"), LOCK_MS, None), WindowFull)


async def test_racing_replicas_never_claim_more_than_the_window_allows(
    adapters: Callable[..., BullmqJobQueue], web: WebApp, redis_client: Redis
) -> None:
    limit = RateLimit(max=5, per_ms=200)
    for _ in range(60):
        await web.add(QUEUE, {"n": 1})
    until = time.monotonic() + 1.5

    async def replica(queue: BullmqJobQueue) -> int:
        claims = 0
        while time.monotonic() < until:
            claimed = await queue.claim(new_token("test"), LOCK_MS, limit)
            claims += isinstance(claimed, Job)
            if isinstance(claimed, WindowFull):
                await asyncio.sleep(max(0.0, claimed.opens_at / 1000 - time.time()))
        return claims

    claims = sum(await asyncio.gather(*(replica(adapters()) for _ in range(4))))
    counted = await starts(redis_client)
    assert len(counted) == claims == await redis_client.llen("bull:papers:active")
    assert claims >= 20
    assert all(sum(begin <= at <= begin + limit.per_ms for at in counted) <= limit.max for begin in counted)


async def test_a_leader_whose_successor_has_acted_can_start_nothing_any_more(
    of_term: Callable[..., BullmqJobQueue], web: WebApp, redis_client: Redis
) -> None:
    await web.add(QUEUE, {"n": 1})
    earlier, later = of_term(1), of_term(2)
    await earlier.observe(MINUTE)
    await later.observe(MINUTE)
    for act in (
        lambda: earlier.claim(new_token("test"), LOCK_MS, MINUTE),
        lambda: earlier.reserve(new_token("test"), MINUTE),
        lambda: earlier.observe(MINUTE),
    ):
        with pytest.raises(NoLongerLeading):
            await act()
    assert await redis_client.llen("bull:papers:wait") == 1
    assert await redis_client.zcard(STARTS) == 0
    assert isinstance(await later.claim(new_token("test"), LOCK_MS, MINUTE), Job)


async def test_terms_of_other_installations_do_not_count(of_term: Callable[..., BullmqJobQueue]) -> None:
    await of_term(7, "elsewhere").observe(None)
    assert (await of_term(1).observe(None)).window_used == 0


async def test_terms_that_are_counted_anew_are_refused_for_an_hour_at_most(
    of_term: Callable[..., BullmqJobQueue], redis_client: Redis
) -> None:
    await of_term(7).observe(None)
    assert 0 < await redis_client.ttl("bull:papers:paperjobs:leader") <= 3600


async def test_starts_that_redis_lost_are_counted_again_and_known_ones_stay_as_they_are(
    queue: BullmqJobQueue, web: WebApp, redis_client: Redis
) -> None:
    for _ in range(3):
        await web.add(QUEUE, {"n": 1})
    first, second = [await queue.claim(new_token("test"), LOCK_MS, MINUTE) for _ in range(2)]
    assert isinstance(first, Job)
    assert isinstance(second, Job)
    known = await redis_client.zscore(STARTS, second.claim.token)
    await redis_client.zrem(STARTS, first.claim.token)
    assert (await queue.observe(MINUTE)).window_opens_at is None

    now = (await queue.observe(MINUTE)).now
    await queue.restore_starts({first.claim.token: now - 1000, second.claim.token: now, "later": now + 50_000})
    assert await redis_client.zscore(STARTS, first.claim.token) == now - 1000
    assert await redis_client.zscore(STARTS, second.claim.token) == known
    # A creation time is rounded up, and clocks differ: a start cannot have been later than now.
    assert now <= (await redis_client.zscore(STARTS, "later") or 0) < now + 10_000
    assert isinstance(await queue.claim(new_token("test"), LOCK_MS, MINUTE), WindowFull)


async def test_what_a_foreign_worker_took_counts_in_the_window(
    queue: BullmqJobQueue, web: WebApp, redis_client: Redis
) -> None:
    for _ in range(3):
        await web.add(QUEUE, {"n": 1})
    stray = Worker(QUEUE, None, {"connection": redis_client, "autorun": False})
    assert await stray.getNextJob("a stray worker's token") is not None
    state = await queue.observe(RateLimit(max=3, per_ms=60_000))
    again = await queue.observe(RateLimit(max=3, per_ms=60_000))
    assert (state.window_used, again.window_used) == (1, 1)
    assert isinstance(await queue.claim(new_token("test"), LOCK_MS, MINUTE), Job)
    assert isinstance(await queue.claim(new_token("test"), LOCK_MS, MINUTE), WindowFull)


async def test_what_another_installation_took_counts_once(
    queue: BullmqJobQueue, of_term: Callable[..., BullmqJobQueue], web: WebApp
) -> None:
    await web.add(QUEUE, {"n": 1})
    assert isinstance(await of_term(1, "elsewhere").claim(new_token("elsewhere"), LOCK_MS, MINUTE), Job)
    assert (await queue.observe(MINUTE)).window_used == 1


async def test_each_life_of_a_redis_server_has_an_id(queue: BullmqJobQueue) -> None:
    server = (await queue.observe(None)).server
    assert server
    assert (await queue.observe(None)).server == server


@pytest.mark.parametrize(
    ("memory", "trusted"),
    [
        ({"maxmemory": 0, "maxmemory_policy": "allkeys-lru"}, True),  # without a limit nothing is evicted
        ({"maxmemory": 10**9, "maxmemory_policy": "noeviction"}, True),
        ({}, True),  # a proxy that says nothing
        ({"maxmemory": 10**9, "maxmemory_policy": "allkeys-lru"}, False),
        ({"maxmemory": 10**9, "maxmemory_policy": "volatile-ttl"}, False),  # locks and the window expire
    ],
)
def test_a_redis_that_may_evict_is_refused_with_the_remedy(memory: dict[str, object], trusted: bool) -> None:
    problem = eviction_problem(memory)
    assert (problem == "") == trusted
    assert trusted or "maxmemory-policy noeviction" in problem


async def test_the_policy_is_read_from_the_server_itself(queue: BullmqJobQueue, redis_client: Redis) -> None:
    assert await queue.storage_problem() == ""
    await redis_client.config_set("maxmemory-policy", "allkeys-lru")
    await redis_client.config_set("maxmemory", "500mb")
    try:
        assert "allkeys-lru" in await queue.storage_problem()
    finally:
        await redis_client.config_set("maxmemory", "0")
        await redis_client.config_set("maxmemory-policy", "noeviction")


async def test_disruptions_of_one_attempt_are_counted_with_the_return(
    queue: BullmqJobQueue, web: WebApp, redis_client: Redis
) -> None:
    await web.add(QUEUE, {"n": 1}, attempts=5)
    disrupted = Outcome(kind=OutcomeKind.DISRUPTED, reason="Evicted", message="the node went away")
    for _ in range(10):
        job = await take(queue, LOCK_MS)
        assert job is not None
        assert await queue.finish(job.id, job.claim, disrupted)
        assert await redis_client.hget(f"bull:papers:{job.id}", "atm") in (None, "0")
        # A rate limit in between costs nothing either, and is not counted.
        job = await take(queue, LOCK_MS)
        assert job is not None
        assert await queue.finish(job.id, job.claim, Outcome(kind=OutcomeKind.RATE_LIMITED, reason="RateLimited"))
    job = await take(queue, LOCK_MS)
    assert job is not None
    assert await queue.finish(job.id, job.claim, disrupted)
    attempts, reason = await redis_client.hmget(f"bull:papers:{job.id}", ["atm", "failedReason"])
    assert attempts == "1"
    assert "disrupted 11 times" in str(reason)
    assert str(reason).endswith("the node went away")

    # The next attempt has its own count.
    job = await take(queue, LOCK_MS)
    assert job is not None
    assert await queue.finish(job.id, job.claim, disrupted)
    assert (await redis_client.hgetall(f"bull:papers:{job.id}"))["atm"] == "1"


async def test_a_claim_of_a_worker_without_a_name_is_never_taken_for_the_one_of_ours_before_it(
    queue: BullmqJobQueue, web: WebApp, redis_client: Redis
) -> None:
    await web.add(QUEUE, {"n": 1})
    job = await take(queue, LOCK_MS)
    assert job is not None
    assert (await queue.observe(None)).active[0].lock is LockState.OURS
    disrupted = Outcome(kind=OutcomeKind.DISRUPTED, reason="Evicted")
    assert await queue.finish(job.id, job.claim, disrupted), "returned before its launch was recorded"

    stray = Worker(QUEUE, None, {"connection": redis_client, "autorun": False})
    assert await stray.getNextJob("a stray worker's token") is not None
    assert await redis_client.hget(f"bull:papers:{job.id}", "pb") == job.claim.token, "it leaves our name in place"
    assert (await queue.observe(None)).active[0].lock is LockState.FOREIGN
    await redis_client.delete(f"bull:papers:{job.id}:lock")
    assert (await queue.observe(None)).active[0].lock is LockState.ABANDONED


async def test_a_stale_leader_never_puts_its_old_limits_in_the_place_of_new_ones(
    of_term: Callable[..., BullmqJobQueue], redis_client: Redis
) -> None:
    cluster, observer = MemoryCluster(), Log()
    old = QueueSettings(name=QUEUE, queue=QUEUE, pipeline="p", concurrency=1)
    later = QueueLoop(replace(old, concurrency=7), of_term(2), cluster, observer)
    await later.tick()
    with pytest.raises(NoLongerLeading):
        await QueueLoop(old, of_term(1), cluster, observer).tick()
    assert await redis_client.hget("bull:papers:meta", "concurrency") == "7"


async def test_a_claim_that_was_never_launched_hands_on_that_the_job_had_a_run(
    queue: BullmqJobQueue, web: WebApp
) -> None:
    await web.add(QUEUE, {"n": 1}, attempts=5)
    first = await take(queue, LOCK_MS)
    assert first is not None
    await queue.record_launch(first.id, first.claim)
    assert await queue.finish(first.id, first.claim, Outcome(kind=OutcomeKind.FAILED, reason="Error"))
    for _ in range(2):
        refused = await take(queue, LOCK_MS)
        assert refused is not None
        assert refused.launched_before, "its PaperJob, if it is gone, was deleted by somebody"
        assert await queue.finish(refused.id, refused.claim, Outcome(kind=OutcomeKind.NEVER_RAN, reason="Refused"))


async def test_a_request_to_cancel_is_not_about_another_job_under_the_same_id(
    queue: BullmqJobQueue, web: WebApp, redis_client: Redis
) -> None:
    await web.add(QUEUE, {"n": 1}, jobId="a")
    await queue.request_cancel("a", "cancelled: no")
    await web.ask("remove", queue=QUEUE, jobId="a")
    await asyncio.sleep(0.01)
    await web.add(QUEUE, {"n": 2}, jobId="a")
    assert (await queue.observe(None)).cancels == ()
    assert await redis_client.exists("bull:papers:paperjobs:cancel") == 0
