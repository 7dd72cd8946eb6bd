"""A job that was cancelled where it waited leaves behind what a stock worker leaves of one that it took and failed with
an UnrecoverableError: the npm client sees the same jobs and events, and Redis holds the same keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from integration.bullmq.test_parity import Produce, differences, flow, one, see, several, without_early_drains
from paperjobs.bullmq.jobqueue import BullmqJobQueue
from paperjobs.model import Outcome, OutcomeKind, QueueSettings
from paperjobs.settings import RedisSettings
from support.scripted import LOCK_MS, completes, never, run_with_ours, run_with_the_oracle
from support.webapp import WebApp, web_app

REASON: Final = "cancelled: no longer needed"
GIVEN_UP: Final = never(REASON)

KINDS: Final[dict[str, Produce]] = {
    "a job that waits": one(GIVEN_UP),
    "a job with attempts left": one(GIVEN_UP, attempts=5, backoff=1000),
    "a prioritized job": one(GIVEN_UP, priority=5),
    "a delayed job": one(GIVEN_UP, delay=150),
    "a delayed job with a priority": one(GIVEN_UP, delay=150, priority=3),
    "a job that is removed when failed": one(GIVEN_UP, removeOnFail=True),
    "the last two failed are kept": several(*[(GIVEN_UP, {"removeOnFail": 2})] * 3),
    "a deduplicated job": several(
        (GIVEN_UP, {"deduplication": {"id": "paper"}}), (completes(), {"deduplication": {"id": "paper"}})
    ),
    "a child whose failure fails the parent": flow(completes(), ([GIVEN_UP], {"failParentOnFailure": True})),
    "a child that the parent is told of": flow(completes(), ([GIVEN_UP], {"ignoreDependencyOnFailure": True})),
    "a child that the parent does without": flow(completes(), ([GIVEN_UP], {"removeDependencyOnFailure": True})),
}


@pytest_asyncio.fixture(params=[5, 6], scope="module", loop_scope="module")
async def web(request: pytest.FixtureRequest, node: Path, webapp_dir: Path, valkey_port: int) -> AsyncIterator[WebApp]:
    """The npm client, of the major version before and of the current one."""
    async with web_app(node, webapp_dir, valkey_port, bullmq=request.param) as app:
        yield app


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", KINDS)
async def test_npm_client_sees_a_cancelled_job_as_one_that_a_stock_worker_gave_up(
    web: WebApp, valkey_port: int, kind: str
) -> None:
    async with Redis(host="127.0.0.1", port=valkey_port, decode_responses=True) as redis:
        await redis.flushall()
        theirs, ours = (f"{whose}-gives-up-{list(KINDS).index(kind)}" for whose in ("theirs", "ours"))
        await KINDS[kind](web, theirs)
        runs = await run_with_the_oracle(web, theirs)
        oracle = await see(web, redis, theirs, runs)

        await KINDS[kind](web, ours)
        settings = QueueSettings(name="ours", queue=ours, pipeline="institution-extraction", concurrency=1)
        queue = BullmqJobQueue(settings, RedisSettings(host="127.0.0.1", port=valkey_port), "test")
        try:
            given_up = [run for run in runs if run != "parent"]
            for job_id in given_up:
                await cancel(queue, job_id)
            rest = await run_with_ours(queue, redis, ours)
        finally:
            await queue.close()
        seen = await see(web, redis, ours, [*given_up, *rest])

    expected = replace(oracle, events=without_early_drains(oracle.events))
    different = differences(replace(seen, events=without_early_drains(seen.events)), expected)
    assert not different, different


async def cancel(queue: BullmqJobQueue, job_id: str) -> None:
    """What the engine does about a request when the job is not active."""
    await queue.request_cancel(job_id, REASON)
    taken = await queue.take(job_id, LOCK_MS)
    assert taken is not None
    outcome = Outcome(kind=OutcomeKind.NEVER, reason="Cancelled", message=REASON)
    assert await queue.finish(job_id, taken.claim, outcome)
    await queue.drop_cancel(job_id)
