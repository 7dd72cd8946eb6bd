"""Poison input: whatever stands in Redis, the queue goes on; the poisoned job fails with a message that names the field
where that is possible, and costs no other job anything.

What producers write goes through the real engine and the real runner as a process; what nobody's client would write is
written into Redis by hand.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from paperjobs.bullmq.jobqueue import BullmqJobQueue
from paperjobs.engine.engine import Engine
from paperjobs.local.cluster import LocalCluster
from paperjobs.local.statedir import StateDir
from paperjobs.model import QueueSettings
from paperjobs.settings import RedisSettings
from paperjobs_runner.database_url import normalise_database_url
from paperjobs_runner.store.migrate import upgrade
from paperjobs_standins.server import Standins
from support.engine_bench import Log
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


GOOD = {"paperId": "p-1", "arxivUrl": "https://arxiv.org/abs/1706.03762"}

HARMLESS: dict[str, Any] = {
    "five megabytes beside the fields": {**GOOD, "text": "x" * 5_000_000},
    "a prototype and Kubernetes variables": {**GOOD, "__proto__": {"x": 1}, "title": "$(DATABASE_URL) $$(X)"},
    "what a pod's environment cannot hold": {**GOOD, "title": "\u0000 \ud800 \u2028"},
}

POISON: dict[str, tuple[Any, str]] = {
    "a number": (7.5, "must be an object {paperId, arxivUrl}, got a number"),
    "a string": ("paper", "got text"),
    "null": (None, "got null"),
    "an array": ([1, 2], "got a list"),
    "nothing": ({}, "paperId: missing; add the job with {paperId, arxivUrl}; arxivUrl: missing"),
    "a paper id that is an object": ({**GOOD, "paperId": {"a": 1}}, "paperId: expected text, got an object"),
    "a paper id with a NUL": ({**GOOD, "paperId": "p\u0000"}, "paperId: expected text without control characters"),
    "a paper id with half a character": ({**GOOD, "paperId": "\ud800"}, "paperId: expected text without control"),
    "a paper id of a megabyte": ({**GOOD, "paperId": "x" * 1_000_000}, "paperId: expected 1 to 200 characters"),
    "a link that is a number": ({**GOOD, "arxivUrl": 1706.03762}, "arxivUrl: expected text, got a number"),
    "a link to elsewhere": ({**GOOD, "arxivUrl": "https://example.org/"}, "arxivUrl: "),
}

RAW_POISON = {
    "no JSON": ("{not json", "the job's data is not JSON; add the job with {paperId, arxivUrl}"),
    "half a document": ('{"paperId": "p-1", "arx', "the job's data is not JSON"),
    "no UTF-8": (b'{"paperId": "\xff"}', "arxivUrl: missing"),
    "a nesting of a hundred thousand": ("[" * 100_000 + "]" * 100_000, "the job's data is not JSON"),
}


async def test_jobs_that_cannot_be_read_fail_once_naming_the_field_and_the_others_complete(
    web: WebApp, redis_client: Redis, valkey_port: int, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path}/papers.db"
    upgrade(normalise_database_url(database))
    redis = RedisSettings(host="127.0.0.1", port=valkey_port)
    settings = QueueSettings(name="papers", queue=QUEUE, pipeline="institution-extraction", concurrency=3)
    expected: dict[str, str] = {}
    for data, message in POISON.values():
        expected[await web.ask("add", queue=QUEUE, name="paper", data=data, opts={"attempts": 3})] = message
    for number, (raw, message) in enumerate(RAW_POISON.values()):
        await put(redis_client, f"raw-{number}", {"data": raw, "opts": '{"attempts":3}'})
        expected[f"raw-{number}"] = message
    good = [await web.add(QUEUE, data) for data in HARMLESS.values()]
    good.append(await web.add(QUEUE, GOOD, name="nobody knows \u2603 this name"))

    with Standins() as standins:
        env = {"PATH": os.environ["PATH"], "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(valkey_port)}
        env |= standins.env() | {"DATABASE_URL": database}

        def wake(key: str) -> None:
            engine.wake(key)

        cluster = LocalCluster(state=StateDir.at(tmp_path / "state"), env=env, wake=wake)
        log = Log()
        engine = Engine(cluster, lambda queue: BullmqJobQueue(queue, redis, "test"), log)
        engine.configure([settings])
        running = asyncio.create_task(engine.run())
        try:
            for job_id in good:
                assert (await web.wait(QUEUE, job_id, seconds=90))["institutionCount"] == 3
            async with asyncio.timeout(60):
                while await redis_client.zcard(f"bull:{QUEUE}:failed") < len(expected):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            for job_id, message in expected.items():
                # Not through the npm client, which itself stumbles over data that is no JSON.
                names = ["atm", "ats", "failedReason"]
                made, started, reason = await redis_client.hmget(f"bull:{QUEUE}:{job_id}", names)
                assert (made, started) == ("1", "1")
                assert message in str(reason)
                assert await redis_client.zscore(f"bull:{QUEUE}:failed", job_id) is not None
        finally:
            running.cancel()
            await asyncio.wait([running])
            await cluster.stop(grace_s=0)
    assert log.failures == []


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


async def test_a_lock_that_is_none_costs_its_job_nothing(queue: ServedQueue, redis_client: Redis) -> None:
    queue.serve()
    job_id = await queue.add(completes(ms=400))
    await queue.until_launched(1)
    await redis_client.delete(f"bull:papers:{job_id}:lock")
    await redis_client.hset(f"bull:papers:{job_id}:lock", "a", "b")
    other = await queue.add(completes())

    assert await queue.idle() == {job_id: "completed", other: "completed"}


async def test_a_key_of_the_queue_that_somebody_took_is_named_until_it_is_free_again(
    web: WebApp, redis_client: Redis, valkey_port: int
) -> None:
    """As a job does that is added under the id `limiter`: BullMQ's own workers stop as well."""
    async with served_queue(QUEUE, web, RedisSettings(host="127.0.0.1", port=valkey_port)) as queue:
        await web.add(QUEUE, jobId="limiter")
        good = await queue.add(completes())
        queue.serve()
        await queue.bench.until(lambda: bool(queue.cluster.queue_statuses), "the trouble is shown")
        shown = queue.cluster.queue_statuses[-1]
        assert shown.reason == "RedisRefused"
        assert "bull:papers:limiter holds something else" in shown.message
        assert {str(error) for error in queue.bench.log.failures} == {shown.message}

        assert await queue.ask("remove", jobId="limiter") == 1
        await queue.until_launched(1)
        await web.wait(QUEUE, good)
        queue.bench.log.failures.clear()


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
    "pjc",
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
