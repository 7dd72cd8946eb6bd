"""Jobs that somebody wants cancelled, on a real Valkey, with runs in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import redis.asyncio
from bullmq import FlowProducer, Worker

from integration.engine.conftest import Bench
from paperjobs.bullmq.canceller import Answer, CancelDesk, Place
from paperjobs.model import Outcome, OutcomeKind, RateLimit
from support.engine_bench import SETTINGS
from support.memory_cluster import completed

REASON = "cancelled: the paper was withdrawn"
LATER = 3_600_000
FULL = replace(SETTINGS, concurrency=1)


async def _add(bench: Bench, **opts: Any) -> str:
    return str((await bench.producer.add("paper", {"paperId": "1"}, opts)).id)


async def _request(bench: Bench, job_id: str) -> Answer:
    async with CancelDesk("papers", bench.redis) as desk:
        return await desk.request(job_id, REASON)


async def _until_failed(client: redis.asyncio.Redis, job_id: str, seconds: float = 3) -> None:
    """`seconds` is less than the slow look at a busy queue: the request itself must wake the loop."""
    async with asyncio.timeout(seconds):
        while await client.zscore("bull:papers:failed", job_id) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await client.hget(f"bull:papers:{job_id}", "failedReason") == REASON
    assert await client.lrange("bull:papers:active", 0, -1) == []
    assert await client.exists("bull:papers:paperjobs:cancel", f"bull:papers:{job_id}:lock") == 0


async def _running(bench: Bench, **opts: Any) -> tuple[str, str]:
    """A job whose run is live: its id, and the run's name."""
    job_id = await _add(bench, **opts)
    await bench.until(lambda: bool(bench.cluster.launched), "the job is launched")
    await asyncio.sleep(0.1)
    return job_id, bench.cluster.launched[-1][0]


async def test_a_running_job_loses_its_run_and_fails_for_good(bench: Bench, redis_client: redis.asyncio.Redis) -> None:
    bench.start(FULL)
    job_id, run = await _running(bench, attempts=5)

    assert await _request(bench, job_id) == Answer(place=Place.ACTIVE)

    await _until_failed(redis_client, job_id)
    assert run not in bench.cluster.existing
    assert bench.log.cancelled_jobs == [job_id]
    assert await redis_client.hget(f"bull:papers:{job_id}", "atm") == "1"


async def test_the_slot_of_a_cancelled_run_is_free_for_the_next_job_and_not_before_its_pod_is_gone(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    bench.cluster.lingers = True
    bench.start(FULL)
    first, run = await _running(bench)
    await _add(bench)

    await _request(bench, first)
    await bench.until(lambda: bench.cluster.leaving == {run}, "the run is asked to leave")
    await asyncio.sleep(0.3)
    assert len(bench.cluster.launched) == 1
    assert await redis_client.lrange("bull:papers:active", 0, -1) == [first]

    bench.cluster.leave(run)
    await bench.until(lambda: len(bench.cluster.launched) == 2, "the next job is launched", seconds=3)
    assert await redis_client.hget(f"bull:papers:{first}", "failedReason") == REASON


@pytest.mark.parametrize(
    ("opts", "place"),
    [
        ({}, Place.WAITING),
        ({"lifo": True}, Place.WAITING),
        ({"priority": 5}, Place.WAITING),
        ({"delay": LATER}, Place.DELAYED),
        ({"delay": LATER, "priority": 3}, Place.DELAYED),
    ],
    ids=["waiting", "last in first out", "prioritized", "delayed", "delayed with a priority"],
)
async def test_a_job_that_has_not_started_is_taken_out_of_its_place_while_the_queue_is_full(
    bench: Bench, redis_client: redis.asyncio.Redis, opts: dict[str, Any], place: Place
) -> None:
    bench.start(FULL)
    running, _ = await _running(bench)
    before, job_id, after = [await _add(bench, **opts) for _ in range(3)]

    assert await _request(bench, job_id) == Answer(place=place)

    async with asyncio.timeout(3):
        while await redis_client.zscore("bull:papers:failed", job_id) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await redis_client.lrange("bull:papers:active", 0, -1) == [running]
    assert [job.id for _, job in bench.cluster.launched] == [running]
    left = [*await redis_client.lrange("bull:papers:wait", 0, -1)]
    for name in ("prioritized", "delayed"):
        left += map(str, await redis_client.zrange(f"bull:papers:{name}", 0, -1))
    assert {*left} == {before, after}
    assert await redis_client.exists("bull:papers:paperjobs:cancel") == 0


async def test_cancelling_takes_no_start_from_the_window(bench: Bench, redis_client: redis.asyncio.Redis) -> None:
    bench.start(replace(SETTINGS, suspend=True, rate_limit=RateLimit(max=1, per_ms=60_000)))
    job_id = await _add(bench)
    await bench.until(lambda: bool(bench.log.statuses), "a tick is made")
    await _request(bench, job_id)
    await _until_failed(redis_client, job_id)
    assert await redis_client.exists("bull:papers:paperjobs:starts", "bull:papers:limiter") == 0


async def test_a_paused_queue_cancels_too(bench: Bench, redis_client: redis.asyncio.Redis) -> None:
    await bench.producer.pause()
    job_id = await _add(bench)
    bench.start()
    await bench.until(lambda: bool(bench.log.statuses), "a tick is made")
    await _request(bench, job_id)
    await _until_failed(redis_client, job_id)


async def test_a_job_paused_by_bullmq_5_is_cancelled_where_it_lies(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    job_id = await _add(bench)
    await redis_client.rename("bull:papers:wait", "bull:papers:paused")
    await redis_client.hset("bull:papers:meta", "paused", "1")
    bench.start()
    await _request(bench, job_id)
    await _until_failed(redis_client, job_id)


async def test_a_parent_is_cancelled_and_its_children_go_on(bench: Bench, redis_client: redis.asyncio.Redis) -> None:
    flows = FlowProducer({"connection": redis_client})
    tree = {
        "name": "parent",
        "queueName": "papers",
        "data": {},
        "opts": {"jobId": "parent"},
        "children": [{"name": "child", "queueName": "papers", "data": {}, "opts": {"jobId": "child"}}],
    }
    await flows.add(tree)
    bench.start()
    await bench.until(lambda: bool(bench.cluster.launched), "the child is launched")

    assert await _request(bench, "parent") == Answer(place=Place.WAITING_CHILDREN)
    async with asyncio.timeout(3):
        while await redis_client.zscore("bull:papers:failed", "parent") is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    bench.cluster.end(bench.cluster.launched[0][0], completed())
    await bench.until(lambda: bool(bench.log.outcomes), "the child is settled")
    assert await redis_client.zscore("bull:papers:completed", "child") is not None
    await asyncio.sleep(0.2)
    assert [job.id for _, job in bench.cluster.launched] == ["child"]
    assert await redis_client.zscore("bull:papers:failed", "parent") is not None


async def test_requests_made_while_the_operator_was_down_take_effect_when_it_is_back(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    bench.start(FULL)
    running, run = await _running(bench)
    delayed = await _add(bench, delay=LATER)
    await bench.kill()
    for job_id in (running, delayed):
        assert (await _request(bench, job_id)).requested

    bench.start(FULL)
    await bench.until(lambda: len(bench.log.cancelled_jobs) == 2, "both are cancelled")
    for job_id in (running, delayed):
        await _until_failed(redis_client, job_id)
    assert run not in bench.cluster.existing


@pytest.mark.parametrize("launched", [False, True], ids=["before its launch", "after its launch"])
async def test_a_claim_that_a_crash_left_without_a_run_is_cancelled_and_never_launched(
    bench: Bench, redis_client: redis.asyncio.Redis, launched: bool
) -> None:
    bench.cluster.crash_on_launch = not launched
    bench.cluster.crash_after_launch = launched
    bench.start(FULL)
    job_id = await _add(bench)
    await bench.until(lambda: bool(bench.log.failures), "the process dies at the launch")
    await bench.kill()
    bench.cluster.crash_on_launch = bench.cluster.crash_after_launch = False
    await _request(bench, job_id)
    bench.start(FULL)
    await _until_failed(redis_client, job_id)
    assert len(bench.cluster.launched) == launched
    assert bench.cluster.existing == {}


async def test_a_crash_after_a_waiting_job_was_taken_out_is_repaired(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    job_id = await _add(bench)
    await _request(bench, job_id)
    queue = bench.open_queue()
    assert await queue.take(job_id, 30_000) is not None
    await queue.close()
    assert await redis_client.lrange("bull:papers:active", 0, -1) == [job_id]

    bench.start()
    await _until_failed(redis_client, job_id)
    assert bench.cluster.launched == []


async def test_a_run_that_completes_before_it_can_be_stopped_has_completed_its_job(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    bench.start()
    job_id, run = await _running(bench)
    await bench.kill()
    await _request(bench, job_id)
    bench.cluster.end(run, completed({"n": 1}))
    bench.start()
    await bench.until(lambda: bool(bench.log.outcomes), "the outcome is settled")
    assert await redis_client.zscore("bull:papers:completed", job_id) is not None
    await _until(lambda: redis_client.exists("bull:papers:paperjobs:cancel"), 0)


@pytest.mark.parametrize("kind", [OutcomeKind.FAILED, OutcomeKind.DISRUPTED, OutcomeKind.RATE_LIMITED])
async def test_a_run_that_ends_so_that_its_job_would_run_again_ends_as_cancelled(
    bench: Bench, redis_client: redis.asyncio.Redis, kind: OutcomeKind
) -> None:
    bench.start()
    job_id, run = await _running(bench, attempts=5)
    await bench.kill()
    await _request(bench, job_id)
    bench.cluster.end(run, Outcome(kind=kind, reason="Interrupted", message="asked to leave"))
    bench.start()
    await _until_failed(redis_client, job_id)


async def test_a_job_that_has_ended_or_never_was_is_no_request(bench: Bench, redis_client: redis.asyncio.Redis) -> None:
    bench.start()
    job_id, run = await _running(bench)
    bench.cluster.end(run, completed())
    await bench.until(lambda: bool(bench.log.outcomes), "the outcome is settled")
    assert await _request(bench, job_id) == Answer(place=Place.COMPLETED)
    assert await _request(bench, "no such job") == Answer(place=Place.NOWHERE)
    assert await redis_client.exists("bull:papers:paperjobs:cancel") == 0


async def test_a_request_about_a_job_that_was_removed_does_not_touch_another_under_its_id(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    await _add(bench, jobId="same", delay=LATER)
    await _request(bench, "same")
    assert await bench.producer.remove("same") == 1
    await asyncio.sleep(0.01)
    await _add(bench, jobId="same")
    bench.start()
    await bench.until(lambda: bool(bench.cluster.launched), "the other job is launched")
    await _until(lambda: redis_client.exists("bull:papers:paperjobs:cancel"), 0)
    assert bench.log.cancelled_jobs == []


async def test_a_job_that_a_stock_worker_runs_is_left_to_it_and_cancelled_if_it_comes_back(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    job_id = await _add(bench)
    worker = Worker("papers", None, {"autorun": False, "connection": redis_client})
    job = await worker.getNextJob("stock-token")
    assert job is not None
    engine = bench.start()
    assert await _request(bench, job_id) == Answer(place=Place.ACTIVE, foreign=True)
    await asyncio.sleep(0.3)
    assert await redis_client.lrange("bull:papers:active", 0, -1) == [job_id]

    job.opts["attempts"] = 2
    job.attempts = 2
    await job.moveToFailed(RuntimeError("once more"), "stock-token")
    engine.wake(SETTINGS.key)
    await _until_failed(redis_client, job_id)


async def test_a_long_list_is_cancelled_to_its_end(bench: Bench, redis_client: redis.asyncio.Redis) -> None:
    await bench.producer.addBulk([{"name": "paper", "data": {}, "opts": {"delay": LATER}} for _ in range(250)])
    async with CancelDesk("papers", bench.redis) as desk:
        for number in range(1, 251):
            await desk.request(str(number), REASON)
    bench.start()
    await bench.until(lambda: len(bench.log.cancelled_jobs) == 250, "all are cancelled")
    assert await redis_client.zcard("bull:papers:failed") == 250


async def test_a_cancelled_job_of_a_scheduler_does_not_end_the_schedule(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    await bench.producer.upsertJobScheduler("nightly", {"every": LATER}, "paper", {})
    [first] = map(str, await redis_client.lrange("bull:papers:wait", 0, -1))
    bench.start(replace(SETTINGS, suspend=True))
    await _request(bench, first)
    await _until_failed(redis_client, first)
    following = await redis_client.zrange("bull:papers:delayed", 0, -1)
    assert len(following) == 1
    assert first not in following


async def _until(look: Callable[[], Awaitable[Any]], wanted: Any, seconds: float = 3) -> None:
    async with asyncio.timeout(seconds):
        while await look() != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
