"""What the engine may rely on, whichever JobQueue it has. Where time matters, it passes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from integration.conformance.sides import INSTALLATION, SETTINGS, Side
from paperjobs.bullmq.parse import token_prefix
from paperjobs.errors import NoLongerLeading
from paperjobs.model import (
    Claim,
    EnqueueOptions,
    Job,
    JobPhase,
    LockState,
    Outcome,
    OutcomeKind,
    RateLimit,
    WindowFull,
)
from paperjobs.ports import JobQueue

LOCK_MS = 60_000
COMPLETED = Outcome(kind=OutcomeKind.COMPLETED, reason="Completed", result={"n": 1})
FAILED = Outcome(kind=OutcomeKind.FAILED, reason="Error", message="arXiv answered 500")
NEVER = Outcome(kind=OutcomeKind.NEVER, reason="BadPayload", message="no such paper")
LIMITED = Outcome(kind=OutcomeKind.RATE_LIMITED, reason="RateLimited", retry_after_ms=10)
DISRUPTED = Outcome(kind=OutcomeKind.DISRUPTED, reason="Evicted", message="the node is gone")


async def claim(queue: JobQueue, lock_ms: int = LOCK_MS, limit: RateLimit | None = None) -> Job:
    claimed = await queue.claim(queue.new_token(), lock_ms, limit)
    assert isinstance(claimed, Job)
    return claimed


async def phase(queue: JobQueue, job_id: str) -> JobPhase | None:
    return (await queue.states([job_id]))[job_id].phase


async def test_jobs_are_claimed_in_bullmqs_order(side: Side) -> None:
    queue = side.replica()
    low, first = await side.add(priority=5), await side.add()
    high, second, in_front = await side.add(priority=1), await side.add(), await side.add(lifo=True)
    await side.add(delay=60_000)

    order = [(await claim(queue)).id for _ in range(5)]

    assert order == [in_front, first, second, high, low]
    assert await queue.claim(queue.new_token(), LOCK_MS, None) is None


async def test_a_claim_has_a_number_and_a_token_of_this_installation(side: Side) -> None:
    queue = side.replica()
    await side.add(attempts=3)
    first = await claim(queue)
    await queue.finish(first.id, first.claim, FAILED)
    second = await claim(queue)

    assert (first.claim.number, first.attempts_made, first.data) == (1, 0, '{"paperId":"p1"}')
    assert (second.claim.number, second.attempts_made) == (2, 1)
    assert first.claim.token != second.claim.token
    assert second.claim.token.startswith(token_prefix(INSTALLATION))


@pytest.mark.parametrize(
    ("opts", "outcome", "then", "attempts"),
    [
        ({"attempts": 2}, COMPLETED, JobPhase.COMPLETED, 1),
        ({"attempts": 2}, FAILED, JobPhase.WAITING, 1),
        ({"attempts": 2, "backoff": 60_000}, FAILED, JobPhase.DELAYED, 1),
        ({"attempts": 1}, FAILED, JobPhase.FAILED, 1),
        ({}, FAILED, JobPhase.WAITING, 1),  # the queue's own default: two attempts
        ({"attempts": 9}, NEVER, JobPhase.FAILED, 1),
        ({"attempts": 1}, LIMITED, JobPhase.WAITING, 0),
        ({"attempts": 1}, DISRUPTED, JobPhase.WAITING, 0),
        ({"removeOnComplete": True}, COMPLETED, None, 0),
        ({"removeOnFail": True, "attempts": 1}, FAILED, None, 0),
    ],
)
async def test_an_outcome_moves_the_job_as_a_worker_would(
    side: Side, opts: dict[str, Any], outcome: Outcome, then: JobPhase | None, attempts: int
) -> None:
    queue = side.replica()
    job_id = await side.add(**opts)
    job = await claim(queue)

    assert await queue.finish(job_id, job.claim, outcome)
    assert not await queue.finish(job_id, job.claim, outcome)

    state = (await queue.states([job_id]))[job_id]
    assert (state.phase, state.attempts_made) == (then, attempts)
    assert (await queue.observe(None)).active == ()


async def test_a_job_that_returns_goes_to_the_front_and_one_that_is_retried_to_the_back(side: Side) -> None:
    queue = side.replica()
    first, second = await side.add(attempts=2), await side.add(attempts=2)
    job = await claim(queue)
    await queue.finish(first, job.claim, DISRUPTED)
    again = await claim(queue)
    assert again.id == first

    await queue.finish(first, again.claim, FAILED)
    assert [(await claim(queue)).id for _ in range(2)] == [second, first]


async def test_disruptions_beyond_the_cap_cost_an_attempt(side: Side) -> None:
    queue = side.replica()
    job_id = await side.add(attempts=1)
    for _ in range(SETTINGS.disruptions):
        await queue.finish(job_id, (await claim(queue)).claim, DISRUPTED)
        assert await phase(queue, job_id) is JobPhase.WAITING

    await queue.finish(job_id, (await claim(queue)).claim, DISRUPTED)
    assert await phase(queue, job_id) is JobPhase.FAILED


async def test_a_claim_that_is_over_can_do_nothing(side: Side) -> None:
    queue = side.replica()
    job_id = await side.add(attempts=3)
    over = (await claim(queue)).claim
    await queue.finish(job_id, over, DISRUPTED)
    now = (await claim(queue)).claim

    assert not await queue.finish(job_id, over, COMPLETED)
    assert not await queue.relock(job_id, over, LOCK_MS)
    assert await queue.load(job_id, over) is None
    await queue.record_launch(job_id, over)
    (active,) = (await queue.observe(None)).active
    assert (active.claim, active.launched) == (now, False)
    assert await queue.load(job_id, Claim(number=now.number + 1, token=now.token)) is None


async def test_a_lock_that_expires_is_lost_and_can_be_put_back(side: Side) -> None:
    queue = side.replica()
    job_id = await side.add()
    job = await claim(queue, lock_ms=60)
    assert [job.lock for job in (await queue.observe(None)).active] == [LockState.OURS]

    await side.pass_time(80)

    assert [job.lock for job in (await queue.observe(None)).active] == [LockState.LOST]
    assert not await queue.finish(job_id, job.claim, COMPLETED)
    assert await queue.relock(job_id, job.claim, LOCK_MS)
    assert [job.lock for job in (await queue.observe(None)).active] == [LockState.OURS]
    assert await queue.finish(job_id, job.claim, COMPLETED)


async def test_a_launch_is_remembered_for_its_claim_and_as_an_earlier_one_for_the_next(side: Side) -> None:
    queue = side.replica()
    job_id = await side.add(attempts=3)
    job = await claim(queue)
    await queue.record_launch(job_id, job.claim)
    assert [active.launched for active in (await queue.observe(None)).active] == [True]

    await queue.finish(job_id, job.claim, FAILED)
    again = await claim(queue)
    assert again.launched_before
    assert [active.launched for active in (await queue.observe(None)).active] == [False]

    await queue.finish(job_id, again.claim, FAILED)
    assert not (await claim(queue)).launched_before


async def test_a_delayed_job_is_claimed_when_it_is_due(side: Side) -> None:
    queue = side.replica()
    job_id = await side.add(delay=80)
    assert await queue.claim(queue.new_token(), LOCK_MS, None) is None
    state = await queue.observe(None)
    assert state.next_delayed_at is not None
    assert 0 < state.next_delayed_at - state.now <= 80

    await side.pass_time(100)
    assert (await claim(queue)).id == job_id


async def test_a_backoff_is_waited_for(side: Side) -> None:
    queue = side.replica()
    job_id = await side.add(attempts=3, backoff={"type": "exponential", "delay": 30})
    await queue.finish(job_id, (await claim(queue)).claim, FAILED)
    await side.pass_time(50)
    await queue.finish(job_id, (await claim(queue)).claim, FAILED)
    assert await queue.claim(queue.new_token(), LOCK_MS, None) is None
    await side.pass_time(80)
    assert (await claim(queue)).attempts_made == 2


async def test_the_window_lets_through_so_many_starts_and_names_the_instant_it_opens(side: Side) -> None:
    queue, limit = side.replica(), RateLimit(max=2, per_ms=150)
    for _ in range(3):
        await side.add()
    await claim(queue, limit=limit)
    await claim(queue, limit=limit)

    full = await queue.claim(queue.new_token(), LOCK_MS, limit)
    state = await queue.observe(limit)
    assert isinstance(full, WindowFull)
    assert (state.window_used, state.window_opens_at) == (2, full.opens_at)

    await side.pass_time(max(0, full.opens_at - state.now) + 5)
    assert (await queue.observe(limit)).window_opens_at is None
    await claim(queue, limit=limit)


async def test_a_start_that_is_counted_again_replaces_the_earlier_one(side: Side) -> None:
    queue, limit = side.replica(), RateLimit(max=1, per_ms=60_000)
    await side.add()
    job = await claim(queue, limit=limit)

    assert await queue.reserve(job.claim.token, limit) is None
    assert await queue.reserve(queue.new_token(), limit) is not None
    assert (await queue.observe(limit)).window_used == 1
    await queue.unreserve(job.claim.token)
    assert (await queue.observe(limit)).window_used == 0


async def test_starts_are_restored_once(side: Side) -> None:
    queue, limit = side.replica(), RateLimit(max=3, per_ms=60_000)
    now = (await queue.observe(limit)).now
    known = queue.new_token()
    assert await queue.reserve(known, limit) is None

    await queue.restore_starts({known: now - 30_000, queue.new_token(): now - 1_000, queue.new_token(): now + 60_000})

    state = await queue.observe(limit)
    assert state.window_used == 3
    assert state.window_opens_at is not None
    assert abs(state.window_opens_at - (now - 1_000 + 60_001)) < 1_000


async def test_a_hold_stops_claims_until_it_ends_and_a_longer_one_stays(side: Side) -> None:
    queue = side.replica()
    await side.add()
    await queue.hold(150)
    await queue.hold(20)
    state = await queue.observe(None)
    assert state.held_until is not None
    assert 100 < state.held_until - state.now <= 150
    assert isinstance(await queue.claim(queue.new_token(), LOCK_MS, None), WindowFull)

    await side.pass_time(170)
    assert (await queue.observe(None)).held_until is None
    await claim(queue)


async def test_a_paused_queue_gives_no_job(side: Side) -> None:
    queue = side.replica()
    await side.add()
    await side.pause()
    assert (await queue.observe(None)).paused
    assert await queue.claim(queue.new_token(), LOCK_MS, None) is None
    await side.resume()
    await claim(queue)


async def test_what_the_app_set_caps_us_and_a_higher_value_is_replaced(side: Side) -> None:
    queue = side.replica()
    await side.set_global_concurrency(1)
    await queue.mirror_limits(2, None)
    assert (await queue.observe(None)).app_concurrency == 1
    await side.add()
    await side.add()
    await claim(queue)
    assert await queue.claim(queue.new_token(), LOCK_MS, None) is None

    await side.set_global_concurrency(7)
    await queue.mirror_limits(2, None)
    assert (await queue.observe(None)).app_concurrency == 2
    await claim(queue)


async def test_the_apps_rate_limit_holds_us_while_it_lasts(side: Side) -> None:
    queue, limit = side.replica(), RateLimit(max=5, per_ms=1_000)
    await queue.mirror_limits(5, limit)
    await side.add()
    await side.rate_limit(100)
    assert (await queue.observe(limit)).held_until is not None
    assert await queue.claim(queue.new_token(), LOCK_MS, limit) is None
    await side.pass_time(130)
    assert (await queue.observe(limit)).held_until is None
    await claim(queue, limit=limit)


async def test_a_leader_whose_successor_has_acted_can_start_nothing(side: Side) -> None:
    older, newer = side.replica(term=1), side.replica(term=2)
    await side.add()
    await older.observe(None)
    await newer.observe(None)

    with pytest.raises(NoLongerLeading):
        await older.claim(older.new_token(), LOCK_MS, None)
    with pytest.raises(NoLongerLeading):
        await older.reserve(older.new_token(), None)
    with pytest.raises(NoLongerLeading):
        await older.observe(None)
    await claim(newer)


async def test_a_foreign_workers_job_is_seen_and_returned_when_it_was_without_a_lock_twice(side: Side) -> None:
    queue = side.replica()
    job_id = await side.add()
    assert await side.foreign_claim("foreign") == job_id
    assert [job.lock for job in (await queue.observe(None)).active] == [LockState.FOREIGN]
    await side.lose_lock(job_id)
    assert [job.lock for job in (await queue.observe(None)).active] == [LockState.ABANDONED]

    await queue.return_abandoned()
    await queue.return_abandoned()  # too soon: nothing happens
    assert len((await queue.observe(None)).active) == 1
    await side.make_stalled_check_due()
    await queue.return_abandoned()
    assert (await claim(queue)).claim.number == 2


async def test_what_was_made_by_hand_is_enqueued_once(side: Side) -> None:
    queue = side.replica()
    await queue.enqueue("pj-1", "paper", '{"paperId": "9"}', EnqueueOptions())
    await queue.enqueue("pj-1", "paper", '{"paperId": "9"}', EnqueueOptions())
    assert (await queue.observe(None)).counts.waiting == 1
    job = await claim(queue)
    await queue.finish(job.id, job.claim, COMPLETED)
    await queue.enqueue("pj-1", "paper", '{"paperId": "9"}', EnqueueOptions())
    assert await phase(queue, "pj-1") is JobPhase.COMPLETED


async def test_an_arrival_ends_the_wait_for_work(side: Side) -> None:
    queue = side.replica()
    await queue.observe(None)
    waiting = asyncio.create_task(queue.wait_for_work())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await side.add()
    async with asyncio.timeout(5):
        await waiting
