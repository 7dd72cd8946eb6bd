"""The window is strict: at most `max` starts in any interval, whoever asks, however many ask at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from paperjobs.bullmq.jobqueue import BullmqJobQueue, new_token
from paperjobs.model import RateLimit
from support.starts import most_in_any_interval

STARTS = "bull:papers:paperjobs:starts"


async def starts(redis: Redis) -> list[int]:
    """When each start was reserved, by the server's clock, in order."""
    tokens = await redis.zrange(STARTS, 0, -1)
    return sorted([int(await redis.zscore(STARTS, str(token)) or 0) for token in tokens])


@pytest.mark.parametrize(
    ("limit", "clients"),
    [
        (RateLimit(max=1, per_ms=40), 4),  # the smallest window: starts are more than 40 ms apart
        (RateLimit(max=7, per_ms=250), 8),  # bursts that fill the window at once
        (RateLimit(max=50, per_ms=333), 3),  # never full for long
    ],
)
async def test_racing_clients_never_start_more_than_the_window_allows(
    adapters: Callable[..., BullmqJobQueue], redis_client: Redis, limit: RateLimit, clients: int
) -> None:
    until = time.monotonic() + 2

    async def client(queue: BullmqJobQueue) -> int:
        reserved = 0
        while time.monotonic() < until:
            again_at = await queue.reserve(new_token("test"), limit)
            if again_at is None:
                reserved += 1
            else:
                # Everybody comes back at the very edge.
                await asyncio.sleep(max(0, again_at / 1000 - time.time()))
        return reserved

    reserved = sum(await asyncio.gather(*(client(adapters()) for _ in range(clients))))

    recorded = await starts(redis_client)
    assert len(recorded) == reserved
    assert most_in_any_interval(recorded, limit.per_ms) == limit.max
    # Strict, but not stingy: most windows are used up.
    assert reserved >= 0.5 * limit.max * 2000 / limit.per_ms


async def test_window_is_closed_until_the_time_it_names(queue: BullmqJobQueue, redis_client: Redis) -> None:
    limit = RateLimit(max=2, per_ms=800)
    assert await queue.reserve(new_token("test"), limit) is None
    await asyncio.sleep(0.1)
    assert await queue.reserve(new_token("test"), limit) is None

    first, second = await starts(redis_client)
    assert await queue.reserve(new_token("test"), limit) == first + 801
    state = await queue.observe(limit)
    assert (state.window_used, state.window_opens_at) == (2, first + 801)

    await asyncio.sleep(max(0, (first + 801) / 1000 - time.time()))
    assert (await queue.observe(limit)).window_opens_at is None
    assert await queue.reserve(new_token("test"), limit) is None
    assert await queue.reserve(new_token("test"), limit) == second + 801


async def test_reservation_that_is_given_back_leaves_room(queue: BullmqJobQueue, redis_client: Redis) -> None:
    limit = RateLimit(max=1, per_ms=60_000)
    token = new_token("test")
    assert await queue.reserve(token, limit) is None
    assert await queue.reserve(new_token("test"), limit) is not None

    await queue.unreserve(token)
    assert (await queue.observe(limit)).window_used == 0
    assert await queue.reserve(new_token("test"), limit) is None

    await queue.unreserve(token)
    await queue.unreserve("paperjobs:never-reserved")
    assert (await queue.observe(limit)).window_used == 1


async def test_edited_window_counts_the_starts_that_were_made_under_the_old_one(queue: BullmqJobQueue) -> None:
    for _ in range(3):
        assert await queue.reserve(new_token("test"), RateLimit(max=3, per_ms=50)) is None
    await asyncio.sleep(0.1)
    assert (await queue.observe(RateLimit(max=3, per_ms=50))).window_used == 0

    longer, narrower = RateLimit(max=3, per_ms=60_000), RateLimit(max=1, per_ms=60_000)

    assert (await queue.observe(longer)).window_used == 3
    assert await queue.reserve(new_token("test"), longer) is not None
    assert await queue.reserve(new_token("test"), RateLimit(max=4, per_ms=60_000)) is None
    opens_at = (await queue.observe(narrower)).window_opens_at
    assert opens_at is not None
    assert opens_at == (await queue.reserve(new_token("test"), narrower))


async def test_queue_without_a_limit_has_no_window(queue: BullmqJobQueue) -> None:
    state = await queue.observe(None)

    assert (state.window_used, state.window_opens_at) == (0, None)


async def test_hold_admits_nothing_until_it_ends(queue: BullmqJobQueue) -> None:
    limit = RateLimit(max=100, per_ms=1000)

    await queue.hold(500)
    held = await queue.observe(limit)
    assert held.held_until is not None
    assert 200 < held.held_until - held.now <= 500
    assert await queue.reserve(new_token("test"), limit) == held.held_until

    await asyncio.sleep(0.51)
    assert (await queue.observe(limit)).held_until is None
    assert await queue.reserve(new_token("test"), limit) is None


async def test_longer_hold_wins_whichever_came_first(queue: BullmqJobQueue) -> None:
    await queue.hold(60_000)
    long = (await queue.observe(None)).held_until
    await queue.hold(100)
    assert (await queue.observe(None)).held_until == long

    await queue.hold(120_000)
    longer = (await queue.observe(None)).held_until
    assert long is not None
    assert longer is not None
    assert longer > long


async def test_hold_of_no_length_holds_nothing(queue: BullmqJobQueue) -> None:
    await queue.hold(0)

    assert (await queue.observe(None)).held_until is None
