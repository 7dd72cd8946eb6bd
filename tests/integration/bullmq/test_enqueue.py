"""Jobs made with kubectl enter the same queue, and the state of any job can be read back."""

from __future__ import annotations

import json

import pytest
from redis.asyncio import Redis

from paperjobs.bullmq.jobqueue import BullmqJobQueue
from paperjobs.model import Backoff, BackoffType, EnqueueOptions, JobPhase, Outcome, OutcomeKind, QueueSettings
from support.claims import take
from support.scripted import LOCK_MS, completes, script
from support.webapp import WebApp

DATA = '{"paperId":"p1","arxivUrl":"https://arxiv.org/abs/1706.03762"}'


async def test_enqueued_job_is_what_the_npm_client_would_have_added(queue: BullmqJobQueue, any_web: WebApp) -> None:
    await queue.enqueue("kubectl-uid-1", "paper", DATA, EnqueueOptions())

    seen = await any_web.inspect("papers", "kubectl-uid-1")

    assert seen is not None
    assert (seen["name"], seen["state"], seen["attemptsMade"]) == ("paper", "waiting", 0)
    assert seen["data"] == json.loads(DATA)


async def test_enqueued_job_is_run_by_a_stock_worker_too(queue: BullmqJobQueue, any_web: WebApp) -> None:
    await queue.enqueue("kubectl-uid-1", "paper", json.dumps(script(completes({"n": 1}))), EnqueueOptions())
    await any_web.ask("startWorker", queue="papers")

    assert await any_web.wait("papers", "kubectl-uid-1") == {"n": 1}


async def test_id_that_exists_is_not_enqueued_again(queue: BullmqJobQueue, web: WebApp, redis_client: Redis) -> None:
    await queue.enqueue("uid-1", "paper", DATA, EnqueueOptions())
    job = await take(queue, LOCK_MS)
    assert job is not None
    await queue.enqueue("uid-1", "paper", '{"paperId":"other"}', EnqueueOptions())
    assert (await queue.observe(None)).counts.waiting == 0

    assert await queue.finish(job.id, job.claim, Outcome(kind=OutcomeKind.COMPLETED, reason="Completed"))
    await queue.enqueue("uid-1", "paper", '{"paperId":"other"}', EnqueueOptions())

    state = await queue.observe(None)
    assert (state.counts.waiting, state.counts.completed) == (0, 1)
    assert await redis_client.hget("bull:papers:uid-1", "data") == DATA


@pytest.mark.parametrize("data", ['{"title":"\\ud800"}', '{"title":"Ł ☃"}', '{"n":1.0,"m":1e3}', "{}"])
async def test_enqueued_payload_is_claimed_unchanged(queue: BullmqJobQueue, redis_client: Redis, data: str) -> None:
    await queue.enqueue("uid-1", "paper", data, EnqueueOptions())

    job = await take(queue, LOCK_MS)

    assert job is not None
    assert json.loads(job.data) == json.loads(data)


async def test_states_tell_where_each_job_stands(queue: BullmqJobQueue, web: WebApp) -> None:
    for job_id in ("job-completed", "job-failed", "job-active"):
        await web.add("papers", jobId=job_id)
    await web.add("papers", jobId="job-retried", attempts=2, backoff={"type": "fixed", "delay": 60_000})
    for outcome in (
        Outcome(kind=OutcomeKind.COMPLETED, reason="Completed", result={"n": 1}),
        Outcome(kind=OutcomeKind.NEVER, reason="Error", message="unknown paper"),
    ):
        job = await take(queue, LOCK_MS)
        assert job is not None
        assert await queue.finish(job.id, job.claim, outcome)
    assert await take(queue, LOCK_MS) is not None
    job = await take(queue, LOCK_MS)
    assert job is not None
    assert await queue.finish(job.id, job.claim, Outcome(kind=OutcomeKind.FAILED, reason="Error", message="busy"))
    await web.add("papers", jobId="job-waiting")
    await web.add("papers", jobId="job-prioritized", priority=2)

    states = await queue.states(
        [
            "job-completed",
            "job-failed",
            "job-active",
            "job-retried",
            "job-waiting",
            "job-prioritized",
            "never-heard-of",
            "job-completed",
        ]
    )

    assert {job_id: state.phase for job_id, state in states.items()} == {
        "job-completed": JobPhase.COMPLETED,
        "job-failed": JobPhase.FAILED,
        "job-active": JobPhase.RUNNING,
        "job-retried": JobPhase.DELAYED,
        "job-waiting": JobPhase.WAITING,
        "job-prioritized": JobPhase.WAITING,
        "never-heard-of": None,
    }
    assert json.loads(states["job-completed"].returnvalue or "") == {"n": 1}
    assert states["job-completed"].finished_at is not None
    assert states["job-failed"].failed_reason == "unknown paper"
    now = (await queue.observe(None)).now
    assert 50_000 < (states["job-retried"].not_before or 0) - now <= 60_000
    assert states["job-retried"].attempts_made == 1
    assert await queue.states([]) == {}


async def test_what_a_person_set_reaches_bullmq_as_the_npm_client_would_have_set_it(
    queue: BullmqJobQueue, any_web: WebApp
) -> None:
    backoff = Backoff(type=BackoffType.FIXED, delay_ms=250, jitter=0.5)
    await queue.enqueue("kubectl-uid-1", "paper", DATA, EnqueueOptions(priority=7, attempts=4, backoff=backoff))

    seen = await any_web.inspect("papers", "kubectl-uid-1")

    assert seen is not None
    assert (seen["state"], seen["priority"], seen["opts"]["attempts"]) == ("prioritized", 7, 4)
    assert seen["opts"]["backoff"] == {"type": "fixed", "delay": 250, "jitter": 0.5}


async def test_a_job_with_a_time_is_delayed_until_then_and_not_when_the_time_has_passed(
    queue: BullmqJobQueue, any_web: WebApp
) -> None:
    now = (await queue.observe(None)).now
    await queue.enqueue("later", "paper", DATA, EnqueueOptions(not_before=now + 60_000))
    await queue.enqueue("late", "paper", DATA, EnqueueOptions(not_before=now - 60_000))

    later, late = [await any_web.inspect("papers", job_id) for job_id in ("later", "late")]

    assert later is not None
    assert late is not None
    assert (later["state"], late["state"]) == ("delayed", "waiting")
    due = (await queue.states(["later"]))["later"].not_before
    assert due is not None
    assert abs(due - (now + 60_000)) < 1_000


async def test_a_person_who_sets_only_attempts_gets_the_queue_s_backoff(queue: BullmqJobQueue, web: WebApp) -> None:
    backoff = Backoff(type=BackoffType.EXPONENTIAL, delay_ms=5_000)
    queue.update(
        QueueSettings(name="papers", queue="papers", pipeline="institution-extraction", concurrency=1, backoff=backoff)
    )
    await queue.enqueue("tried", "paper", DATA, EnqueueOptions(attempts=3))
    await queue.enqueue("plain", "paper", DATA, EnqueueOptions())

    tried, plain = [await web.inspect("papers", job_id) for job_id in ("tried", "plain")]

    assert tried is not None
    assert plain is not None
    assert tried["opts"]["backoff"] == {"type": "exponential", "delay": 5_000, "jitter": 0.0}
    # Such a job takes both from its queue when it fails.
    assert "backoff" not in plain["opts"]
