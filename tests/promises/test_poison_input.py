"""Poison input: whatever stands in Redis, the queue goes on; the poisoned job fails with a message that names the field
where that is possible, and costs no other job anything.

What producers write goes through the real engine and the real runner as a process; what nobody's client would write is
written into Redis by hand.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from paperjobs.settings import RedisSettings
from support.scripted import completes, fails, script
from support.served_queue import ServedQueue, served_queue
from support.webapp import WebApp, web_app

QUEUE = "papers"


@pytest.fixture
async def web(redis_client: Redis, node: Path, webapp_dir: Path, valkey_port: int) -> AsyncIterator[WebApp]:
    async with web_app(node, webapp_dir, valkey_port) as app:
        yield app


@pytest.fixture
async def queue(web: WebApp, valkey_port: int) -> AsyncIterator[ServedQueue]:
    async with served_queue(QUEUE, web, RedisSettings(host="127.0.0.1", port=valkey_port)) as served:
        yield served


async def put(redis: Redis, job_id: Any, fields: dict[Any, Any] | None) -> None:
    """A job that no client wrote: its hash, or none, and its place at the front of the queue."""
    key = b"bull:papers:" + (job_id if isinstance(job_id, bytes) else job_id.encode())
    if fields:
        await redis.hset(key, mapping={"name": "paper", "data": "{}", "opts": "{}", "timestamp": "1", **fields})
    await redis.rpush("bull:papers:wait", job_id)
    await redis.zadd("bull:papers:marker", {"0": 0})


async def test_a_job_whose_hash_was_deleted_while_it_waited_fails_and_says_so(
    queue: ServedQueue, redis_client: Redis
) -> None:
    good = await queue.add(completes())
    lost = await queue.add(completes())
    await redis_client.delete(f"bull:papers:{lost}")

    queue.serve()

    assert await queue.idle() == {good: "completed", lost: "failed"}
    assert "no data" in (await queue.inspect(lost))["failedReason"]
    assert queue.launched == [good]


@pytest.mark.parametrize("kind", ["string", "list", "set"])
async def test_a_job_whose_key_is_no_hash_is_taken_out_of_the_queue(
    queue: ServedQueue, redis_client: Redis, kind: str
) -> None:
    queue.serve()
    await queue.add(completes())
    match kind:
        case "string":
            await redis_client.set("bull:papers:evil", "text")
        case "list":
            await redis_client.rpush("bull:papers:evil", "text")
        case _:
            await redis_client.sadd("bull:papers:evil", "text")
    await put(redis_client, "evil", None)
    good = [await queue.add(completes()) for _ in range(3)]

    ends = await queue.idle()
    assert [ends[job_id] for job_id in good] == ["completed"] * 3
    await asyncio.sleep(1)
    assert await redis_client.lrange("bull:papers:active", 0, -1) == []
    assert queue.bench.log.failures == []


FIELDS = [
    "ats",
    "atm",
    "stc",
    "priority",
    "delay",
    "timestamp",
    "processedOn",
    "finishedOn",
    "parentKey",
    "parent",
    "rjk",
    "deid",
    "defa",
    "pb",
    "pjl",
    "pjd",
    "stacktrace",
    "failedReason",
    "returnvalue",
    "progress",
    "name",
    "opts",
    "data",
]
"""Every field that BullMQ's scripts or ours read from a job."""

VALUES = ["", "x", "-1", "1e400", "9" * 40, "[]", "{}", "null", '"', "bull:papers:meta", b"\xff\x00"]


async def test_no_value_of_any_field_keeps_a_slot_or_stops_the_queue(queue: ServedQueue, redis_client: Redis) -> None:
    order = json.dumps(script(fails("no"), completes()))
    opts = json.dumps({"attempts": 2})
    for field in FIELDS:
        for number, value in enumerate(VALUES):
            await put(redis_client, f"{field}-{number}", {"data": order, "opts": opts, field: value})
    good = [await queue.add(fails("no"), completes(), attempts=2) for _ in range(5)]

    queue.serve(concurrency=8)

    ends = await queue.idle(seconds=40)
    assert [ends[job_id] for job_id in good] == ["completed"] * 5
    assert set(ends) >= {f"{field}-{number}" for field in FIELDS for number in range(len(VALUES))}
