"""Runs that are refused, do not start, or do not end: what the engine makes of them, on a real Valkey."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import redis.asyncio

from integration.engine.conftest import Bench
from paperjobs.engine.allowance import REPORT_MARGIN_MS
from paperjobs.model import Outcome, OutcomeKind, TimeLimits
from support.engine_bench import SETTINGS


async def _add(bench: Bench) -> str:
    return str((await bench.producer.add("paper", {"paperId": "p0"}, {})).id)


async def _launched(bench: Bench, times: int = 1) -> None:
    await bench.until(lambda: len(bench.cluster.launched) >= times, f"it is launched for the {times}. time")


async def test_a_queue_whose_runs_are_refused_claims_nothing(bench: Bench, redis_client: redis.asyncio.Redis) -> None:
    bench.cluster.refusal = "exceeded quota: pods=10"
    bench.start()
    job_id = await _add(bench)
    await bench.until(lambda: bool(bench.log.statuses), "a tick is made")
    await asyncio.sleep(0.3)
    status = bench.log.statuses[-1]
    assert (status.reason, status.message, status.refused) == ("LaunchRefused", "exceeded quota: pods=10", True)
    assert await redis_client.hget(f"bull:papers:{job_id}", "ats") is None
    assert bench.cluster.rehearsals == 1


async def test_a_job_that_is_refused_on_its_own_makes_room_for_the_others_and_loses_no_attempt(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    bench.cluster.refusal, bench.cluster.refuses_only_launches = "exceeded quota: pods=10", True
    bench.start()
    job_id = await _add(bench)
    await bench.until(
        lambda: bool(bench.log.statuses) and bench.log.statuses[-1].reason == "LaunchRefused", "the queue waits"
    )
    await asyncio.sleep(0.3)
    assert await redis_client.hget(f"bull:papers:{job_id}", "ats") == "1", "claimed once"
    assert await redis_client.zcard("bull:papers:delayed") == 1, "it comes back later"
    assert await redis_client.hmget(f"bull:papers:{job_id}", ["atm", "pjd"]) == [None, "1"], "perhaps its own fault"
    bench.cluster.refusal = None
    other = await _add(bench)
    await bench.until(lambda: bool(bench.cluster.launched), "another job passes it")
    assert bench.cluster.launched[0][1].id == other


async def test_a_refusal_that_a_rehearsal_confirms_is_not_counted_against_the_job(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    bench.start()
    await bench.until(lambda: bench.cluster.rehearsals == 1, "the template is accepted")
    bench.cluster.refusal = "exceeded quota: pods=10"
    job_id = await _add(bench)
    await bench.until(lambda: bench.log.statuses[-1].reason == "LaunchRefused", "the queue waits")
    assert await redis_client.hmget(f"bull:papers:{job_id}", ["atm", "ats", "pjd"]) == [None, "1", None]


async def test_a_run_whose_time_is_over_is_ended_once_and_its_job_fails_with_that_reason(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    bench.start()
    job_id = await _add(bench)
    await _launched(bench)
    name, run = next(iter(bench.cluster.existing.items()))
    begun = bench.cluster.now() - REPORT_MARGIN_MS - 500  # half a second of its second is left
    limits = TimeLimits(start_s=60, fault_s=60, run_s=1)
    bench.cluster.existing[name] = replace(run, created_at=begun, started_at=begun, limits=limits)
    bench.cluster.on_change(SETTINGS.key)
    await asyncio.sleep(0.2)
    assert bench.log.outcomes == []
    await bench.until(lambda: bool(bench.log.outcomes), "the loop wakes up for the limit", seconds=2)
    assert [outcome.reason for outcome in bench.log.outcomes] == ["DeadlineExceeded"]
    assert "raise spec.timeout" in str(await redis_client.hget(f"bull:papers:{job_id}", "failedReason"))


async def test_a_run_that_never_came_to_run_returns_its_job_any_number_of_times(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    bench.start(replace(SETTINGS, disruptions=1))
    job_id = await _add(bench)
    never_ran = Outcome(kind=OutcomeKind.NEVER_RAN, reason="FailedCreate", message="exceeded quota")
    for time in (1, 2, 3, 4):
        await _launched(bench, time)
        bench.cluster.end(bench.cluster.launched[-1][0], never_ran)
    await _launched(bench, 5)
    assert await redis_client.hmget(f"bull:papers:{job_id}", ["atm", "failedReason"]) == [None, None]
