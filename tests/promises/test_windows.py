"""Every sliding window of the configured length holds at most N starts, at the edges too, with retries and 429 returns
mixed in.

Starts are taken from outside: from the `active` events that BullMQ's own claiming script writes, by Redis' clock.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from paperjobs.model import QueueSettings, RateLimit
from paperjobs.settings import RedisSettings
from support.scripted import Step, completes, fails, rate_limited, script
from support.served_queue import ServedQueue, served_queue
from support.starts import most_in_any_interval, starts_seen
from support.webapp import WebApp, web_app

SEED = int(os.environ.get("PAPERJOBS_TEST_SEED", random.SystemRandom().randrange(2**32)))
"""A new one for each session; the failing tests' output names it."""

IN_FORCE_MS = 1000
"""How soon an edited limit is in force, as promised."""


@pytest.fixture
async def web(redis_client: Redis, node: Path, webapp_dir: Path, valkey_port: int) -> AsyncIterator[WebApp]:
    async with web_app(node, webapp_dir, valkey_port) as app:
        yield app


@pytest.fixture
async def queue(request: pytest.FixtureRequest, web: WebApp, valkey_port: int) -> AsyncIterator[ServedQueue]:
    name = re.sub(r"\W+", "-", request.node.name)
    async with served_queue(name, web, RedisSettings(host="127.0.0.1", port=valkey_port)) as served:
        yield served


def mixture(dice: random.Random, count: int) -> list[dict[str, Any]]:
    """Jobs whose runs fail, are rate limited, are delayed, prioritized or first in line, and complete in the end."""
    jobs = []
    for _ in range(count):
        troubles = [dice.choice([fails("no"), rate_limited()]) for _ in range(dice.choice([0, 0, 0, 1, 2]))]
        steps: list[Step] = [{**step, "ms": dice.randrange(40)} for step in [*troubles, completes()]]
        opts: dict[str, Any] = {"attempts": 9}
        if dice.random() < 0.5:
            opts["backoff"] = {"type": dice.choice(["fixed", "exponential"]), "delay": dice.randrange(1, 200)}
        match dice.randrange(6):
            case 0:
                opts["delay"] = dice.randrange(1, 1500)
            case 1:
                opts["priority"] = dice.randrange(1, 9)
            case 2:
                opts["lifo"] = True
        jobs.append({"name": "paper", "data": script(*steps), "opts": opts})
    return jobs


@pytest.mark.parametrize(
    "limit",
    [
        RateLimit(max=1, per_ms=60),  # each start on its own
        RateLimit(max=5, per_ms=350),  # bursts
        RateLimit(max=17, per_ms=1100),  # long windows that end while retries come
    ],
    ids=["1 per 60 ms", "5 per 350 ms", "17 per 1.1 s"],
)
async def test_no_window_ever_holds_more_starts_than_its_limit(
    queue: ServedQueue, redis_client: Redis, limit: RateLimit
) -> None:
    print(f"PAPERJOBS_TEST_SEED={SEED}")
    dice = random.Random(f"{SEED} {limit}")
    queue.serve(concurrency=20, rate_limit=limit)
    jobs = mixture(dice, 70)
    while jobs:
        batch, jobs = jobs[: (size := dice.randrange(1, 30))], jobs[size:]
        await queue.ask("addBulk", jobs=batch)
        await asyncio.sleep(dice.random() / 2)

    ends = await queue.idle(seconds=40)

    assert len(ends) == 70
    starts = await starts_seen(redis_client, queue.name)
    assert len(starts) == len(queue.launched) > 70, "runs that failed or were returned started again"
    assert most_in_any_interval(starts, limit.per_ms) == limit.max, "never more, and not always less"


@dataclass(frozen=True)
class Edit:
    """A limit, and when (ms) it was set."""

    at: float
    limit: RateLimit


async def test_limits_edited_under_load_hold_from_one_second_on_and_count_the_starts_before(
    queue: ServedQueue, redis_client: Redis
) -> None:
    print(f"PAPERJOBS_TEST_SEED={SEED}")
    dice = random.Random(f"{SEED} edits")
    limit = RateLimit(max=6, per_ms=500)
    settings = QueueSettings(name="papers", queue=queue.name, pipeline="x", concurrency=20, rate_limit=limit)
    await queue.ask("addBulk", jobs=mixture(dice, 150))
    engine = queue.bench.start(settings)
    edits = [Edit(time.time() * 1000, limit)]
    for _ in range(6):
        await asyncio.sleep(dice.uniform(1.2, 2.5))
        limit = RateLimit(max=dice.randrange(1, 15), per_ms=dice.randrange(100, 1500))
        engine.configure([replace(settings, rate_limit=limit)])
        edits.append(Edit(time.time() * 1000, limit))
    engine.configure([replace(settings, rate_limit=None)])
    edits.append(Edit(time.time() * 1000, RateLimit(max=10**9, per_ms=1)))

    await queue.idle(seconds=40)

    starts = await starts_seen(redis_client, queue.name)
    held = 0
    for start in starts:
        in_force = [edit for edit in edits if edit.at <= start]
        # Right after an edit the limit before it may still be the one that was asked.
        allowed = in_force[-2:] if start - in_force[-1].at < IN_FORCE_MS else in_force[-1:]
        before = [
            (sum(1 for other in starts if start - edit.limit.per_ms <= other <= start), edit.limit) for edit in allowed
        ]
        assert any(count <= limit.max for count, limit in before), f"at {start}: {before} of {edits}"
        held += any(count == limit.max for count, limit in before)
    assert held > 20, "windows were full"


async def test_engines_that_are_killed_and_started_again_keep_to_the_window(queue: ServedQueue) -> None:
    """A launch that a crash held up is a start when it is made at last: here the launches themselves are counted. They
    follow their claims by some milliseconds."""
    print(f"PAPERJOBS_TEST_SEED={SEED}")
    dice = random.Random(f"{SEED} kills")
    limit, late_ms = RateLimit(max=4, per_ms=700), 150
    await queue.ask("addBulk", jobs=mixture(dice, 30))
    queue.serve(concurrency=20, rate_limit=limit)
    for _ in range(8):
        await asyncio.sleep(dice.uniform(0.05, 0.9))
        await queue.bench.kill()
        queue.serve(concurrency=20, rate_limit=limit)

    ends = await queue.idle(seconds=40)

    assert len(ends) == 30
    starts = [round(at * 1000) for at in queue.cluster.launched_at]
    assert most_in_any_interval(starts, limit.per_ms - late_ms) <= limit.max


async def burst_after_a_pause(queue: ServedQueue, more: int) -> None:
    """One start, and many jobs just before its window ends: where BullMQ's own window begins anew."""
    await queue.add(completes())
    await asyncio.sleep(0.85)
    await queue.ask("addBulk", jobs=[{"name": "paper", "data": script(completes())} for _ in range(more)])
    await queue.idle()


async def test_a_burst_at_the_edge_stays_inside_the_window(queue: ServedQueue, redis_client: Redis) -> None:
    queue.serve(concurrency=20, rate_limit=RateLimit(max=4, per_ms=1000))
    await burst_after_a_pause(queue, 11)

    assert most_in_any_interval(await starts_seen(redis_client, queue.name), 1000) == 4


async def test_the_measure_finds_what_bullmqs_own_window_lets_through(queue: ServedQueue, redis_client: Redis) -> None:
    limiter = {"max": 4, "duration": 1000}
    await queue.ask("startWorker", opts={"concurrency": 20, "limiter": limiter})
    await burst_after_a_pause(queue, 11)
    await queue.ask("stopWorker")

    assert most_in_any_interval(await starts_seen(redis_client, queue.name), 1000) > 4
