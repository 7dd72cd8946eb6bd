"""The engine's promises on a real Valkey, with runs in memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any, cast

import pytest
import redis.asyncio
from bullmq import Job, Worker

from integration.engine.conftest import Bench
from paperjobs.model import JobPhase, JobStatus, Outcome, OutcomeKind, PaperJobView, RateLimit, paperjob_name
from support.engine_bench import SETTINGS
from support.memory_cluster import completed


def _launched(bench: Bench, count: int) -> bool:
    return len(bench.cluster.launched) >= count


async def _add(bench: Bench, count: int, **opts: Any) -> list[str]:
    return [str((await bench.producer.add("paper", {"paperId": f"p{n}"}, opts)).id) for n in range(count)]


async def test_a_job_that_arrives_is_launched_and_its_result_reaches_bullmq(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    bench.start()
    await asyncio.sleep(0.2)
    (job_id,) = await _add(bench, 1)
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the job is launched")
    name, job = bench.cluster.launched[0]
    assert (job.id, job.data, job.claim.number) == (job_id, '{"paperId":"p0"}', 1)

    bench.cluster.end(name, completed({"institutions": 3}))
    await bench.until(lambda: len(bench.log.outcomes) == 1, "the outcome is settled")
    assert await redis_client.hget(f"bull:papers:{job_id}", "returnvalue") == '{"institutions":3}'
    assert await redis_client.zscore("bull:papers:completed", job_id) is not None
    assert await redis_client.exists(f"bull:papers:{job_id}:lock") == 0


async def test_concurrency_is_never_exceeded_and_every_job_runs_once(bench: Bench) -> None:
    bench.cluster.ends_at_once = False
    ids = await _add(bench, 12)
    bench.start()
    for done in range(12):
        await bench.until(partial(_launched, bench, done + 1), f"job {done} is launched")
        bench.cluster.end(bench.cluster.launched[done][0], completed())
    await bench.until(lambda: len(bench.log.outcomes) == 12, "all outcomes are settled")
    assert bench.cluster.most_live == 2
    assert sorted(job.id for _, job in bench.cluster.launched) == sorted(ids)


async def test_no_interval_of_the_window_ever_holds_more_starts_than_the_limit(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    limit = RateLimit(max=3, per_ms=400)
    bench.cluster.ends_at_once = True
    await _add(bench, 11)
    bench.start(replace(SETTINGS, rate_limit=limit, concurrency=10))
    await bench.until(lambda: len(bench.log.outcomes) == 11, "all jobs run", seconds=15)
    reserved = cast(
        list[tuple[str, float]], await redis_client.zrange("bull:papers:paperjobs:starts", 0, -1, withscores=True)
    )
    starts = sorted(at for _, at in reserved)
    assert len(starts) == 11
    assert all(starts[n + 3] - starts[n] > 400 for n in range(8))
    # Strict, and yet as fast as the limit allows: a start follows soon after an earlier one has left the window.
    assert all(starts[n + 3] - starts[n] < 700 for n in range(8))


async def test_a_crash_between_claim_and_launch_leaves_one_run_under_the_same_claim(bench: Bench) -> None:
    bench.cluster.crash_on_launch = True
    (job_id,) = await _add(bench, 1)
    bench.start()
    await bench.until(lambda: bool(bench.log.failures), "the launch fails after the claim")
    await bench.kill()

    bench.cluster.crash_on_launch = False
    bench.start()
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the claimed job is launched")
    await asyncio.sleep(0.1)
    assert [(job.id, job.claim.number) for _, job in bench.cluster.launched] == [(job_id, 1)]


async def test_a_run_that_ended_while_the_operator_was_down_is_settled_on_return(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    (job_id,) = await _add(bench, 1)
    bench.start()
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the job is launched")
    await bench.kill()
    bench.cluster.end(bench.cluster.launched[0][0], completed({"ok": True}))
    # The lock is gone as well: the operator was away for longer than it lives.
    await redis_client.delete(f"bull:papers:{job_id}:lock")

    bench.start()
    await bench.until(lambda: len(bench.log.outcomes) == 1, "the outcome is settled")
    assert await redis_client.zscore("bull:papers:completed", job_id) is not None
    assert len(bench.cluster.launched) == 1


async def test_a_failed_run_is_retried_with_a_new_claim_until_no_attempt_is_left(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    bench.start()
    (job_id,) = await _add(bench, 1, attempts=2, backoff={"type": "fixed", "delay": 50})
    failed = Outcome(kind=OutcomeKind.FAILED, reason="ArxivUnavailable", message="arXiv answered 500")
    for attempt in (1, 2):
        await bench.until(partial(_launched, bench, attempt), f"attempt {attempt} is launched")
        bench.cluster.end(bench.cluster.launched[-1][0], failed)
    await bench.until(lambda: len(bench.log.outcomes) == 2, "both outcomes are settled")
    names = [name for name, _ in bench.cluster.launched]
    assert names[0] != names[1]
    fields = await redis_client.hgetall(f"bull:papers:{job_id}")
    assert (fields["atm"], fields["ats"], fields["failedReason"]) == ("2", "2", "arXiv answered 500")
    assert await redis_client.zscore("bull:papers:failed", job_id) is not None
    await bench.until(
        lambda: any(view.status and view.status.phase.final for view in bench.cluster.shown.values()),
        "the PaperJob shows the failure",
    )
    (view,) = bench.cluster.shown.values()
    assert view.status is not None
    assert (view.status.phase, view.status.reason) == (JobPhase.FAILED, "ArxivUnavailable")


async def test_a_permanent_failure_ends_after_one_attempt_whatever_attempts_says(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    bench.start()
    (job_id,) = await _add(bench, 1, attempts=5)
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the job is launched")
    bench.cluster.end(
        bench.cluster.launched[0][0], Outcome(kind=OutcomeKind.NEVER, reason="BadPayload", message="paperId: missing")
    )
    await bench.until(lambda: len(bench.log.outcomes) == 1, "the outcome is settled")
    assert await redis_client.zscore("bull:papers:failed", job_id) is not None
    assert await redis_client.hget(f"bull:papers:{job_id}", "atm") == "1"


async def test_a_rate_limited_run_returns_its_job_without_an_attempt_and_holds_the_queue(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    bench.start()
    (job_id,) = await _add(bench, 1)
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the job is launched")
    limited = Outcome(kind=OutcomeKind.RATE_LIMITED, reason="RateLimited", retry_after_ms=400)
    started = asyncio.get_running_loop().time()
    bench.cluster.end(bench.cluster.launched[0][0], limited)
    await bench.until(lambda: [last.reason for last in bench.log.statuses[-1:]] == ["Held"], "the queue is held")
    await bench.until(lambda: len(bench.cluster.launched) == 2, "the job is launched again after the hold")
    assert asyncio.get_running_loop().time() - started >= 0.39
    assert bench.cluster.launched[1][1].attempts_made == 0
    assert await redis_client.hget(f"bull:papers:{job_id}", "ats") == "2"


async def test_a_deleted_paperjob_cancels_its_run_and_fails_the_job(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    engine = bench.start()
    (job_id,) = await _add(bench, 1, attempts=3)
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the job is launched")
    await asyncio.sleep(0.1)
    bench.cluster.shown.clear()
    engine.wake(SETTINGS.key)
    await bench.until(lambda: not bench.cluster.existing, "the run is removed")
    engine.wake(SETTINGS.key)
    await asyncio.sleep(0.3)
    assert "cancelled" in str(await redis_client.hget(f"bull:papers:{job_id}", "failedReason"))
    assert await redis_client.zscore("bull:papers:failed", job_id) is not None
    assert len(bench.cluster.launched) == 1


async def test_a_job_removed_from_redis_while_it_runs_has_its_run_removed(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    engine = bench.start()
    (job_id,) = await _add(bench, 1)
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the job is launched")
    await redis_client.delete(f"bull:papers:{job_id}", f"bull:papers:{job_id}:lock")
    await redis_client.lrem("bull:papers:active", 0, job_id)
    engine.wake(SETTINGS.key)
    await bench.until(lambda: not bench.cluster.existing, "the run is removed")


async def test_while_the_cluster_cannot_be_asked_nothing_is_claimed_and_recovery_needs_no_restart(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    bench.cluster.broken = True
    bench.start()
    await _add(bench, 1)
    await bench.until(lambda: bool(bench.log.failures), "the tick fails")
    assert await redis_client.llen("bull:papers:active") == 0
    bench.cluster.broken = False
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the job is launched after recovery")


async def test_a_cluster_that_can_be_seen_again_ends_the_pause_after_failed_ticks(bench: Bench) -> None:
    bench.cluster.broken = True
    engine = bench.start()
    await bench.until(lambda: len(bench.log.failures) == 3, "ticks fail")  # the pause after it is 2 s
    bench.cluster.broken = False
    engine.wake(SETTINGS.key)
    await bench.until(lambda: bool(bench.log.statuses), "a tick works", seconds=1.2)


async def test_limits_edited_while_jobs_wait_are_in_force_at_once(bench: Bench) -> None:
    engine = bench.start(replace(SETTINGS, concurrency=1))
    await _add(bench, 4)
    await bench.until(lambda: len(bench.cluster.launched) == 1, "one job is launched")
    await asyncio.sleep(0.1)
    assert len(bench.cluster.launched) == 1
    edited = asyncio.get_running_loop().time()
    engine.configure([replace(SETTINGS, concurrency=3)])
    await bench.until(lambda: len(bench.cluster.launched) == 3, "two more are launched", seconds=1)
    assert asyncio.get_running_loop().time() - edited < 1
    engine.configure([replace(SETTINGS, concurrency=0)])
    bench.cluster.end(bench.cluster.launched[0][0], completed())
    await bench.until(lambda: bench.log.statuses[-1].reason == "ConcurrencyZero", "the queue drains")
    assert sum(run.live for run in bench.cluster.existing.values()) == 2


async def test_a_paused_queue_starts_nothing_until_it_is_resumed(bench: Bench) -> None:
    await bench.producer.pause()
    await _add(bench, 1)
    bench.start()
    await bench.until(lambda: bool(bench.log.statuses), "a tick is made")
    assert (bench.log.statuses[-1].reason, len(bench.cluster.launched)) == ("Paused", 0)
    await bench.producer.resume()
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the job is launched", seconds=2)


async def test_a_delayed_job_is_launched_when_it_is_due(bench: Bench) -> None:
    bench.start()
    await asyncio.sleep(0.1)
    added = asyncio.get_running_loop().time()
    await _add(bench, 1, delay=400)
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the job is launched", seconds=3)
    assert asyncio.get_running_loop().time() - added >= 0.39


async def test_an_idle_queue_costs_few_commands(bench: Bench, redis_client: redis.asyncio.Redis) -> None:
    bench.start()
    await asyncio.sleep(0.3)
    before = (await redis_client.info("stats"))["total_commands_processed"]
    await asyncio.sleep(1)
    after = (await redis_client.info("stats"))["total_commands_processed"]
    assert after - before <= 3


async def test_relaunches_after_a_crash_keep_to_the_window_together_with_new_starts(bench: Bench) -> None:
    limit = RateLimit(max=3, per_ms=600)
    bench.cluster.crash_on_launch = True
    await _add(bench, 9)
    bench.start(replace(SETTINGS, rate_limit=limit, concurrency=20))
    await bench.until(lambda: bool(bench.log.failures), "the launches fail after their claims")
    await bench.kill()
    await asyncio.sleep(0.7)

    bench.cluster.crash_on_launch = False
    bench.cluster.ends_at_once = True
    bench.start(replace(SETTINGS, rate_limit=limit, concurrency=20))
    await bench.until(partial(_launched, bench, 9), "all jobs run", seconds=15)
    at = bench.cluster.launched_at
    # A launch follows its reservation by a script's round trip, hence the small allowance.
    assert all(at[n + 3] - at[n] > 0.55 for n in range(6))
    assert len({name for name, _ in bench.cluster.launched}) == 9


async def test_a_crash_between_the_launch_and_its_record_leaves_one_run(bench: Bench) -> None:
    bench.cluster.crash_after_launch = True
    await _add(bench, 1)
    bench.start()
    await bench.until(lambda: bool(bench.log.failures), "the launch is not recorded")
    await bench.kill()
    bench.cluster.crash_after_launch = False
    bench.start()
    await bench.until(lambda: bool(bench.log.statuses), "a tick is made")
    bench.cluster.end(bench.cluster.launched[0][0], completed())
    await bench.until(lambda: len(bench.log.outcomes) == 1, "the outcome is settled")
    assert len(bench.cluster.launched) == 1


async def test_a_loop_that_stops_leading_launches_nothing_any_more(bench: Bench) -> None:
    bench.cluster.slow_launch_s = 1
    await _add(bench, 2)
    bench.start()
    await asyncio.sleep(0.4)
    stopping = asyncio.get_running_loop().time()
    await bench.kill()
    assert asyncio.get_running_loop().time() - stopping < 0.5
    await asyncio.sleep(1.2)
    assert bench.cluster.launched == []


async def test_another_paperqueue_that_takes_over_the_queue_keeps_its_runs(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    engine = bench.start()
    (job_id,) = await _add(bench, 1)
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the job is launched")
    engine.configure([replace(SETTINGS, name="renamed", concurrency=1)])
    await asyncio.sleep(0.2)
    await _add(bench, 1)
    await bench.until(lambda: bench.log.statuses[-1].reason == "ConcurrencyFull", "the old run holds the only slot")
    bench.cluster.end(bench.cluster.launched[0][0], completed())
    await bench.until(lambda: len(bench.log.outcomes) == 1, "the outcome is settled")
    assert await redis_client.zscore("bull:papers:completed", job_id) is not None


async def test_a_job_cancelled_while_it_waits_for_its_next_attempt_never_runs_again(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    bench.start()
    (job_id,) = await _add(bench, 1, attempts=3, backoff={"type": "fixed", "delay": 300})
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the job is launched")
    bench.cluster.end(bench.cluster.launched[0][0], Outcome(kind=OutcomeKind.FAILED, reason="E", message="first"))
    await bench.until(lambda: len(bench.log.outcomes) == 1, "the attempt is settled")
    bench.cluster.shown.clear()
    await asyncio.sleep(0.8)
    assert len(bench.cluster.launched) == 1
    assert "cancelled" in str(await redis_client.hget(f"bull:papers:{job_id}", "failedReason"))


async def test_a_finished_job_that_is_retried_by_hand_runs_although_its_paperjob_is_history(bench: Bench) -> None:
    bench.start()
    (job_id,) = await _add(bench, 1)
    never = Outcome(kind=OutcomeKind.NEVER, reason="BadPayload", message="no")
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the job is launched")
    bench.cluster.end(bench.cluster.launched[0][0], never)
    await bench.until(lambda: len(bench.log.outcomes) == 1, "the failure is settled")
    bench.cluster.shown.clear()
    job = await Job.fromId(bench.producer, job_id)
    await job.retry("failed", {"resetAttemptsMade": True, "resetAttemptsStarted": True})
    await bench.until(lambda: len(bench.cluster.launched) == 2, "the job is launched again")
    assert bench.cluster.launched[0][0] != bench.cluster.launched[1][0]


async def test_history_never_deletes_the_paperjob_of_a_job_that_lives_again(bench: Bench) -> None:
    name = paperjob_name(SETTINGS, "again")
    bench.cluster.shown[name] = PaperJobView(
        name=name,
        job_id="again",
        made_by_hand=False,
        status=JobStatus(phase=JobPhase.FAILED, job_id="again"),
        finished_at=1,
    )
    await _add(bench, 1, jobId="again")
    bench.start(replace(SETTINGS, keep_failed=0))
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the job is launched")
    await asyncio.sleep(0.3)
    assert bench.cluster.existing
    view = bench.cluster.shown[name]
    assert view.status is not None
    assert view.status.phase is JobPhase.RUNNING


async def test_one_job_with_an_unusable_id_fails_and_the_others_run(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    await _add(bench, 1, jobId="x" * 100_000)
    await _add(bench, 2)
    bench.start()
    await bench.until(partial(_launched, bench, 2), "the others are launched")
    assert "id" in str(await redis_client.hget("bull:papers:" + "x" * 100_000, "failedReason"))


async def test_a_job_of_a_dead_stock_worker_returns_to_the_queue_and_runs(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    (job_id,) = await _add(bench, 1)
    worker = Worker("papers", None, {"autorun": False, "connection": redis_client})
    assert await worker.getNextJob("stock-token") is not None
    await redis_client.delete(f"bull:papers:{job_id}:lock")
    engine = bench.start(replace(SETTINGS, concurrency=1))
    await bench.until(lambda: bool(bench.log.statuses), "a tick is made")
    assert bench.log.statuses[-1].foreign == 1
    # The second look comes half a minute later; the check's own timer is made to run out here.
    await redis_client.delete("bull:papers:stalled-check")
    engine.wake(SETTINGS.key)
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the job is launched")


async def test_a_full_window_is_called_that_although_bullmq_s_own_limiter_is_full_too(bench: Bench) -> None:
    bench.cluster.ends_at_once = True
    await _add(bench, 3)
    bench.start(replace(SETTINGS, rate_limit=RateLimit(max=2, per_ms=60_000)))
    await bench.until(lambda: len(bench.log.outcomes) == 2, "two jobs run")
    await asyncio.sleep(0.2)
    assert bench.log.statuses[-1].reason == "WindowFull"


async def test_a_shortened_window_is_in_force_at_once(bench: Bench) -> None:
    bench.cluster.ends_at_once = True
    await _add(bench, 4)
    engine = bench.start(replace(SETTINGS, rate_limit=RateLimit(max=2, per_ms=60_000)))
    await bench.until(lambda: len(bench.log.outcomes) == 2, "two jobs run")
    await asyncio.sleep(0.6)
    engine.configure([replace(SETTINGS, rate_limit=RateLimit(max=2, per_ms=500))])
    await bench.until(lambda: len(bench.log.outcomes) == 4, "the others run", seconds=1.5)


async def test_a_limit_that_is_added_later_counts_the_starts_made_before_it(bench: Bench) -> None:
    bench.cluster.ends_at_once = True
    await _add(bench, 5)
    engine = bench.start()
    await bench.until(lambda: len(bench.log.outcomes) == 5, "five jobs run without a limit")
    engine.configure([replace(SETTINGS, rate_limit=RateLimit(max=5, per_ms=60_000))])
    await bench.until(lambda: bench.log.statuses[-1].rate_limit is not None, "the limit is in force")
    await _add(bench, 1)
    await asyncio.sleep(0.5)
    assert len(bench.cluster.launched) == 5


async def test_a_loop_that_dies_ends_the_engine(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def burst(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(bench.log, "tick_failed", burst)
    bench.cluster.broken = True
    bench.start()
    assert bench.task is not None
    await asyncio.wait([bench.task], timeout=5)
    with pytest.raises(RuntimeError, match="a bug"):
        bench.task.result()


async def test_another_installation_on_the_same_redis_leaves_our_claims_alone(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    bench.start()
    (job_id,) = await _add(bench, 1)
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the job is launched")
    other = Bench(redis=bench.redis, producer=bench.producer, installation="other")
    other.start()
    await other.until(lambda: bool(other.log.statuses), "the other installation ticks")
    await asyncio.sleep(0.3)
    assert other.log.statuses[-1].foreign == 1
    assert await redis_client.lrange("bull:papers:active", 0, -1) == [job_id]
    await other.kill()
    bench.cluster.end(bench.cluster.launched[0][0], completed())
    await bench.until(lambda: len(bench.log.outcomes) == 1, "the outcome is settled")
    assert await redis_client.zscore("bull:papers:completed", job_id) is not None


async def test_a_lost_lock_of_ours_survives_the_stalled_check_for_a_dead_worker(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    engine = bench.start()
    (ours,) = await _add(bench, 1)
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the job is launched")
    await bench.producer.pause()
    (dead,) = await _add(bench, 1)
    await bench.producer.resume()
    await redis_client.lrem("bull:papers:wait", 0, dead)
    await redis_client.lpush("bull:papers:active", dead)
    for _ in range(3):
        await redis_client.delete(f"bull:papers:{ours}:lock", "bull:papers:stalled-check")
        await redis_client.sadd("bull:papers:stalled", ours)
        engine.wake(SETTINGS.key)
        await asyncio.sleep(0.2)
    assert await redis_client.hget(f"bull:papers:{ours}", "stc") is None
    assert [job.id for _, job in bench.cluster.launched].count(ours) == 1


async def test_history_keeps_the_paperjob_of_a_retried_job_that_waits(bench: Bench) -> None:
    bench.start(replace(SETTINGS, keep_failed=0, suspend=True))
    (job_id,) = await _add(bench, 1)
    name = paperjob_name(SETTINGS, job_id)
    status = JobStatus(phase=JobPhase.FAILED, job_id=job_id)
    bench.cluster.shown[name] = PaperJobView(name=name, job_id=job_id, made_by_hand=False, status=status, finished_at=1)
    assert bench.engine is not None
    bench.engine.wake(SETTINGS.key)
    await asyncio.sleep(0.3)
    assert name in bench.cluster.shown


async def test_garbage_in_bullmq_s_meta_is_replaced_by_our_limits(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    await redis_client.hset("bull:papers:meta", mapping={"concurrency": "abc", "max": "x", "duration": "y"})
    await redis_client.set("bull:papers:limiter", "5")
    bench.start(replace(SETTINGS, rate_limit=RateLimit(max=5, per_ms=60_000)))
    await bench.until(lambda: bool(bench.log.statuses), "a tick is made")
    await _add(bench, 1)
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the job is launched")
    assert await redis_client.hmget("bull:papers:meta", "concurrency", "max") == ["2", "5"]


async def test_starts_that_redis_lost_in_a_restart_are_counted_from_the_runs_of_the_cluster(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    limited = replace(SETTINGS, concurrency=10, rate_limit=RateLimit(max=3, per_ms=60_000))
    await _add(bench, 5)
    bench.start(limited)
    await bench.until(lambda: _launched(bench, 3), "the window is used up")
    await bench.kill()
    await redis_client.delete("bull:papers:paperjobs:starts")

    bench.start(limited)
    await bench.until(lambda: bool(bench.log.statuses) and bench.log.statuses[-1].reason == "WindowFull", "it waits")
    await asyncio.sleep(0.1)
    assert len(bench.cluster.launched) == 3
    assert bench.log.statuses[-1].window_used == 3


async def test_a_redis_that_may_evict_starts_nothing_and_says_what_to_do(
    bench: Bench, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paperjobs.engine.loop.MIRROR_AGAIN_S", 0.05)
    await redis_client.config_set("maxmemory-policy", "allkeys-lru")
    await redis_client.config_set("maxmemory", "500mb")
    try:
        await _add(bench, 1)
        bench.start()
        await bench.until(lambda: bool(bench.log.statuses), "a tick is made")
        assert bench.log.statuses[-1].reason == "RedisEvicts"
        assert "maxmemory-policy noeviction" in bench.log.statuses[-1].message
        assert not bench.cluster.launched
    finally:
        await redis_client.config_set("maxmemory", "0")
        await redis_client.config_set("maxmemory-policy", "noeviction")
    assert bench.engine is not None
    await asyncio.sleep(0.1)
    bench.engine.wake(SETTINGS.key)
    await bench.until(lambda: _launched(bench, 1), "work goes on without a restart")
