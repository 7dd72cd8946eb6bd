"""A claim is finished once, by the one who holds it; whoever comes late changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from paperjobs.bullmq.jobqueue import BullmqJobQueue, new_token
from paperjobs.errors import RedisUnavailable
from paperjobs.model import (
    ActiveJob,
    Backoff,
    BackoffType,
    Claim,
    Job,
    LockState,
    Outcome,
    OutcomeKind,
    QueueSettings,
)
from support.claims import take
from support.scripted import LOCK_MS, completes, script
from support.webapp import WebApp

COMPLETED = Outcome(kind=OutcomeKind.COMPLETED, reason="Completed", result={"n": 1})
OUTCOMES = [
    COMPLETED,
    Outcome(kind=OutcomeKind.FAILED, reason="Error", message="late"),
    Outcome(kind=OutcomeKind.NEVER, reason="Error", message="late"),
    Outcome(kind=OutcomeKind.RATE_LIMITED, reason="RateLimited", retry_after_ms=10),
    Outcome(kind=OutcomeKind.DISRUPTED, reason="Evicted"),
]


async def claim(queue: BullmqJobQueue, lock_ms: int = LOCK_MS) -> Job:
    job = await take(queue, lock_ms)
    assert job is not None
    return job


async def only_active(queue: BullmqJobQueue) -> ActiveJob:
    (active,) = (await queue.observe(None)).active
    return active


async def everything(redis: Redis) -> dict[str, Any]:
    """All of Redis, to the last bit."""
    return {key: await redis.dump(key) async for key in redis.scan_iter(count=1000)}


# --- how a claim may end behind a run's back


async def returned_to_waiting(queue: BullmqJobQueue, job: Job, web: WebApp, redis: Redis) -> None:
    assert await queue.finish(job.id, job.claim, OUTCOMES[-1])


async def claimed_again(queue: BullmqJobQueue, job: Job, web: WebApp, redis: Redis) -> None:
    await returned_to_waiting(queue, job, web, redis)
    assert (await claim(queue)).id == job.id


async def claimed_by_another_worker(queue: BullmqJobQueue, job: Job, web: WebApp, redis: Redis) -> None:
    await returned_to_waiting(queue, job, web, redis)
    await web.ask("startWorker", queue="papers")
    while not (await queue.observe(None)).active:  # noqa: ASYNC110 - the worker tells nobody
        await asyncio.sleep(0.01)


async def completed(queue: BullmqJobQueue, job: Job, web: WebApp, redis: Redis) -> None:
    assert await queue.finish(job.id, job.claim, COMPLETED)


async def removed(queue: BullmqJobQueue, job: Job, web: WebApp, redis: Redis) -> None:
    await redis.delete(f"bull:papers:{job.id}:lock")
    assert await web.ask("remove", queue="papers", jobId=job.id) == 1


async def removed_with_the_whole_queue(queue: BullmqJobQueue, job: Job, web: WebApp, redis: Redis) -> None:
    await web.ask("obliterate", queue="papers", force=True)


async def added_again_under_its_id(queue: BullmqJobQueue, job: Job, web: WebApp, redis: Redis) -> None:
    await removed(queue, job, web, redis)
    await web.add("papers", script(completes()), jobId=job.id, attempts=3)


async def added_and_claimed_again_under_its_id(queue: BullmqJobQueue, job: Job, web: WebApp, redis: Redis) -> None:
    await added_again_under_its_id(queue, job, web, redis)
    again = await claim(queue)
    assert (again.id, again.claim.number) == (job.id, job.claim.number)


async def lock_lost(queue: BullmqJobQueue, job: Job, web: WebApp, redis: Redis) -> None:
    await redis.delete(f"bull:papers:{job.id}:lock")


ENDS = [
    returned_to_waiting,
    claimed_again,
    claimed_by_another_worker,
    completed,
    removed,
    removed_with_the_whole_queue,
    added_again_under_its_id,
    added_and_claimed_again_under_its_id,
]

End = Callable[[BullmqJobQueue, Job, WebApp, Redis], Awaitable[None]]


@pytest.mark.parametrize("end", [*ENDS, lock_lost])
async def test_finish_with_a_claim_that_is_over_changes_nothing(
    queue: BullmqJobQueue, web: WebApp, redis_client: Redis, end: End
) -> None:
    await web.add("papers", script(completes(ms=20_000)), jobId="paper-1", attempts=3)
    job = await claim(queue)
    await end(queue, job, web, redis_client)

    before = await everything(redis_client)
    for outcome in OUTCOMES:
        assert not await queue.finish(job.id, job.claim, outcome)

    assert await everything(redis_client) == before


@pytest.mark.parametrize("end", ENDS)
async def test_claim_that_is_over_can_neither_be_locked_nor_loaded_nor_recorded(
    queue: BullmqJobQueue, web: WebApp, redis_client: Redis, end: End
) -> None:
    await web.add("papers", script(completes(ms=20_000)), jobId="paper-1", attempts=3)
    job = await claim(queue)
    await end(queue, job, web, redis_client)

    before = await everything(redis_client)
    assert not await queue.relock(job.id, job.claim, LOCK_MS)
    assert await everything(redis_client) == before
    assert await queue.load(job.id, job.claim) is None
    await queue.record_launch(job.id, job.claim)
    assert await everything(redis_client) == before


async def test_finish_is_repeatable_when_its_answer_was_lost(queue: BullmqJobQueue, web: WebApp) -> None:
    job_id = await web.add("papers", attempts=3)
    job = await claim(queue)

    assert await queue.finish(job.id, job.claim, COMPLETED)
    assert not await queue.finish(job.id, job.claim, COMPLETED)

    seen = await web.inspect("papers", job_id)
    assert seen is not None
    assert (seen["state"], seen["attemptsMade"], seen["returnvalue"]) == ("completed", 1, {"n": 1})


async def test_racing_finishes_end_a_claim_once(adapters: Callable[..., BullmqJobQueue], web: WebApp) -> None:
    replicas = [adapters() for _ in range(4)]
    job_id = await web.add("papers", attempts=9)
    job = await claim(replicas[0])

    ended = await asyncio.gather(*(replica.finish(job.id, job.claim, OUTCOMES[1]) for replica in replicas))

    assert sorted(ended) == [False, False, False, True]
    seen = await web.inspect("papers", job_id)
    assert seen is not None
    assert (seen["attemptsMade"], len(seen["stacktrace"])) == (1, 1)


async def test_racing_claims_never_take_one_job_twice(adapters: Callable[..., BullmqJobQueue], web: WebApp) -> None:
    await web.ask("addBulk", queue="papers", jobs=[{"name": "paper", "data": {}} for _ in range(60)])

    async def take_all(queue: BullmqJobQueue) -> list[str]:
        taken = []
        while job := await take(queue, LOCK_MS):
            taken.append(job.id)
        return taken

    taken = [job_id for share in await asyncio.gather(*(take_all(adapters()) for _ in range(4))) for job_id in share]

    assert sorted(taken, key=int) == [str(number) for number in range(1, 61)]


async def test_job_whose_producer_set_no_attempts_follows_the_queues_defaults(
    queue: BullmqJobQueue, web: WebApp
) -> None:
    silent, explicit = await web.add("papers"), await web.add("papers", attempts=1)
    backoff = Backoff(type=BackoffType.FIXED, delay_ms=60_000)
    queue.update(QueueSettings(name="papers", queue="papers", pipeline="x", concurrency=1, attempts=3, backoff=backoff))

    for _ in range(2):
        job = await claim(queue)
        assert await queue.finish(job.id, job.claim, OUTCOMES[1])

    tried, failed = await web.inspect("papers", silent), await web.inspect("papers", explicit)
    assert tried is not None
    assert failed is not None
    assert (tried["state"], tried["delay"], tried["attemptsMade"]) == ("delayed", 60_000, 1)
    assert (failed["state"], failed["attemptsMade"]) == ("failed", 1)


async def test_lost_lock_is_seen_and_put_back(queue: BullmqJobQueue, web: WebApp, redis_client: Redis) -> None:
    await web.add("papers")
    job = await claim(queue)
    assert (await only_active(queue)).lock is LockState.OURS

    await lock_lost(queue, job, web, redis_client)
    active = await only_active(queue)
    assert (active.id, active.claim, active.lock) == (job.id, job.claim, LockState.LOST)

    assert await queue.relock(job.id, active.claim, LOCK_MS)
    assert (await only_active(queue)).lock is LockState.OURS
    assert 0 < await redis_client.pttl(f"bull:papers:{job.id}:lock") <= LOCK_MS
    assert await queue.finish(job.id, job.claim, COMPLETED)


async def test_lock_lives_as_long_as_asked(queue: BullmqJobQueue, web: WebApp, redis_client: Redis) -> None:
    await web.add("papers")
    job = await claim(queue, lock_ms=3_600_000)

    assert 3_590_000 < await redis_client.pttl(f"bull:papers:{job.id}:lock") <= 3_600_000


async def test_stalled_check_of_a_stock_worker_leaves_our_jobs_alone(
    queue: BullmqJobQueue, web: WebApp, redis_client: Redis
) -> None:
    """Two passes of the check: the first marks, the second takes what has no lock."""
    await web.add("papers", script(completes()))
    job = await claim(queue)
    await lock_lost(queue, job, web, redis_client)
    assert await queue.relock(job.id, job.claim, LOCK_MS)

    await web.ask("startWorker", queue="papers", opts={"stalledInterval": 150})
    await asyncio.sleep(0.8)

    assert await web.ask("stopWorker", queue="papers") == {"runs": [], "errors": []}
    assert (await only_active(queue)).claim == job.claim
    assert await queue.finish(job.id, job.claim, COMPLETED)


async def test_job_that_a_stalled_check_took_is_lost_to_us(
    queue: BullmqJobQueue, web: WebApp, redis_client: Redis
) -> None:
    job_id = await web.add("papers", script(completes({"by": "theirs"})))
    job = await claim(queue)
    await lock_lost(queue, job, web, redis_client)

    await web.ask("startWorker", queue="papers", opts={"stalledInterval": 150})
    assert await web.wait("papers", job_id) == {"by": "theirs"}

    assert not await queue.relock(job.id, job.claim, LOCK_MS)
    assert not await queue.finish(job.id, job.claim, COMPLETED)


async def test_job_of_another_worker_is_foreign(queue: BullmqJobQueue, web: WebApp) -> None:
    await web.add("papers", script(completes(ms=20_000)))
    await web.ask("startWorker", queue="papers")
    async with asyncio.timeout(5):
        while not (state := await queue.observe(None)).active:  # noqa: ASYNC110 - the worker tells nobody
            await asyncio.sleep(0.01)

    assert [active.lock for active in state.active] == [LockState.FOREIGN]


async def test_launch_is_remembered_for_this_claim_only(queue: BullmqJobQueue, web: WebApp) -> None:
    await web.add("papers", attempts=2)
    job = await claim(queue)
    assert not (await only_active(queue)).launched

    await queue.record_launch(job.id, job.claim)
    assert (await only_active(queue)).launched

    assert await queue.finish(job.id, job.claim, Outcome(kind=OutcomeKind.FAILED, reason="Error", message="again"))
    again = await claim(queue)
    active = await only_active(queue)
    assert (active.claim, active.launched, active.attempts_made) == (again.claim, False, 1)
    assert (again.claim.number, again.attempts_made) == (2, 1)


async def test_record_of_a_launch_goes_with_the_job(queue: BullmqJobQueue, web: WebApp, redis_client: Redis) -> None:
    await web.add("papers", removeOnComplete=True)
    job = await claim(queue)
    await queue.record_launch(job.id, job.claim)

    assert await queue.finish(job.id, job.claim, COMPLETED)

    assert [key async for key in redis_client.scan_iter(match=f"bull:papers:{job.id}*")] == []


async def test_active_job_is_loaded_as_it_was_claimed(queue: BullmqJobQueue, web: WebApp) -> None:
    await web.add("papers", {"paperId": "p1", "arxivUrl": "https://arxiv.org/abs/1706.03762"}, name="extract")
    job = await claim(queue)

    assert (job.name, job.data) == ("extract", '{"paperId":"p1","arxivUrl":"https://arxiv.org/abs/1706.03762"}')
    assert await queue.load(job.id, job.claim) == job
    assert await queue.load(job.id, Claim(number=job.claim.number + 1, token=job.claim.token)) is None
    assert await queue.load(job.id, Claim(number=job.claim.number, token=new_token("test"))) is None
    assert await queue.load("no-such-job", job.claim) is None


async def test_scheduler_goes_on_when_the_claimer_crashed_before_the_next_iteration(
    adapters: Callable[..., BullmqJobQueue], web: WebApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashing, queue = adapters(), adapters()
    template = {"name": "nightly", "data": script(completes()), "opts": {}}
    await web.ask("upsertJobScheduler", queue="papers", schedulerId="s", repeat={"every": 3_600_000}, template=template)

    async def crash(*_: object, **__: object) -> None:
        raise RedisUnavailable("the connection broke after the claim")

    monkeypatch.setattr("bullmq.job_scheduler.JobScheduler.upsertJobScheduler", crash)
    with pytest.raises(RedisUnavailable):
        await take(crashing, LOCK_MS)
    monkeypatch.undo()
    active = await only_active(queue)
    assert (await queue.observe(None)).counts.delayed == 0

    for _ in range(2):  # the repair may be repeated
        job = await queue.load(active.id, active.claim)
        assert job is not None
        assert job.name == "nightly"
        assert (await queue.observe(None)).counts.delayed == 1


async def test_parent_of_a_failed_child_must_be_failed(queue: BullmqJobQueue, web: WebApp) -> None:
    child = {
        "name": "child",
        "queueName": "papers",
        "data": {},
        "opts": {"jobId": "child", "failParentOnFailure": True},
    }
    await web.ask("addFlow", flow={"name": "p", "queueName": "papers", "opts": {"jobId": "p"}, "children": [child]})
    job = await claim(queue)
    assert (job.id, job.deferred_failure) == ("child", None)
    assert (await queue.observe(None)).counts.waiting_children == 1
    assert await queue.finish(job.id, job.claim, Outcome(kind=OutcomeKind.FAILED, reason="Error", message="no"))

    parent = await claim(queue)

    assert parent.id == "p"
    assert parent.deferred_failure == "child bull:papers:child failed"
