"""A budget that several queues share: while it is held none of them starts anything, and no job loses an attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

import pytest
import redis.asyncio
from bullmq import Queue

from integration.engine.conftest import Bench
from paperjobs.bullmq.budgets import Budgets
from paperjobs.bullmq.connection import open_client
from paperjobs.model import Budget, Outcome, OutcomeKind
from paperjobs_runner.contract import BUDGET_LIMITS
from support.engine_bench import SETTINGS
from support.memory_cluster import completed

ARXIV: Final = Budget(name="arxiv", max=1, per_ms=3_000)
PAPERS: Final = replace(SETTINGS, budgets=(ARXIV,))
TAGGING: Final = replace(SETTINGS, name="tagging", queue="tagging", budgets=(ARXIV, replace(ARXIV, name="anthropic")))
MAILING: Final = replace(SETTINGS, name="mailing", queue="mailing")
LIMITED: Final = Outcome(kind=OutcomeKind.RATE_LIMITED, reason="RateLimited", retry_after_ms=1_500)


@pytest.fixture
async def budgets(bench: Bench) -> AsyncIterator[Budgets]:
    """The budgets in Redis, as a run changes them."""
    async with open_client(bench.redis) as client:
        yield Budgets(client)


def launched(bench: Bench) -> list[str]:
    """The queues of all launches."""
    return [bench.cluster.queue_of[name].rsplit("-", 1)[0] for name, _ in bench.cluster.launched]


def why(bench: Bench, queue: str) -> tuple[str, str]:
    """Reason and message of the queue's newest status."""
    shown = [status for name, status in bench.cluster.statuses_of if name == queue]
    return (shown[-1].reason, shown[-1].message) if shown else ("", "")


async def test_a_429_in_one_run_holds_every_queue_that_uses_the_budget_and_all_go_on_afterwards(
    bench: Bench, budgets: Budgets, redis_client: redis.asyncio.Redis
) -> None:
    bench.start(PAPERS, TAGGING, MAILING)
    job = await bench.producer.add("paper", {"paperId": "1"}, {"attempts": 1})
    await bench.until(lambda: launched(bench) == ["papers"], "the first job is launched")

    # As the runner does: the hold first, then the report.
    await budgets.hold(ARXIV, 1_500, bench.cluster.launched[0][0])
    held_at = asyncio.get_running_loop().time()
    bench.cluster.end(bench.cluster.launched[0][0], replace(LIMITED, budget="arxiv", budget_held=True))
    for queue in ("tagging", "mailing"):
        await Queue(queue, {"connection": redis_client}).add("paper", {"paperId": "2"}, {"attempts": 1})
    await bench.until(lambda: why(bench, "tagging")[0] == "Held", "the other queue is held")
    assert "the budget arxiv is held" in why(bench, "tagging")[1]
    assert bench.cluster.launched[0][0] in why(bench, "tagging")[1], "it says which run was asked to wait"
    await bench.until(lambda: launched(bench) == ["papers", "mailing"], "a queue without the budget goes on")

    await bench.until(lambda: len(launched(bench)) == 4, "both queues go on when the hold is over")
    assert 1.4 <= asyncio.get_running_loop().time() - held_at < 4, "as soon as it is over"
    assert not await redis_client.exists("bull:papers:paperjobs:hold"), "one hold is enough"
    assert sorted(launched(bench)) == ["mailing", "papers", "papers", "tagging"]
    assert [claimed.attempts_made for _, claimed in bench.cluster.launched] == [0, 0, 0, 0]
    for name, _ in bench.cluster.launched[1:]:
        bench.cluster.end(name, completed())
    await bench.until(lambda: len(bench.log.outcomes) == 4, "all end")
    assert await redis_client.zscore("bull:papers:completed", str(job.id)) is not None


async def test_a_hold_by_a_run_that_lives_on_stops_the_queues_too(
    bench: Bench, budgets: Budgets, redis_client: redis.asyncio.Redis
) -> None:
    bench.start(PAPERS, TAGGING)
    await bench.producer.add("paper", {"paperId": "1"})
    await bench.until(lambda: launched(bench) == ["papers"], "the first job is launched")
    await budgets.hold(ARXIV, 800, "papers-run")
    await bench.producer.add("paper", {"paperId": "2"})
    await Queue("tagging", {"connection": redis_client}).add("paper", {"paperId": "3"})
    await asyncio.sleep(0.5)
    assert launched(bench) == ["papers"]
    await bench.until(lambda: len(launched(bench)) == 3, "both go on")


async def test_a_hold_that_a_run_could_not_record_is_recorded_by_the_operator(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    bench.start(PAPERS, TAGGING)
    await bench.producer.add("paper", {"paperId": "1"})
    await bench.until(lambda: launched(bench) == ["papers"], "the job is launched")
    name = bench.cluster.launched[0][0]
    bench.cluster.end(name, replace(LIMITED, budget="arxiv", retry_after_ms=60_000))
    await bench.until(lambda: len(bench.log.outcomes) == 1, "the run is settled")
    hold = await redis_client.get("{paperjobs}:budget:arxiv:hold")
    assert str(hold).endswith(f" {name}")
    await Queue("tagging", {"connection": redis_client}).add("paper", {"paperId": "3"})
    await bench.until(lambda: why(bench, "tagging")[0] == "Held", "the other queue is held")
    assert bench.cluster.budgets["arxiv"].held_by == name
    assert bench.cluster.budgets["anthropic"].held_until is None


async def test_a_budget_that_the_queue_does_not_use_is_not_held_but_the_queue_is(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    bench.start(PAPERS)
    await bench.producer.add("paper", {"paperId": "1"})
    await bench.until(lambda: launched(bench) == ["papers"], "the job is launched")
    bench.cluster.end(bench.cluster.launched[0][0], replace(LIMITED, budget="adobe", budget_held=True))
    await bench.until(lambda: len(bench.log.outcomes) == 1, "the run is settled")
    assert [key async for key in redis_client.scan_iter("{paperjobs}:budget:*")] == []
    assert await redis_client.exists("bull:papers:paperjobs:hold")


async def test_an_edited_limit_is_where_runs_draw_on_it_within_a_second(
    bench: Bench, redis_client: redis.asyncio.Redis
) -> None:
    engine = bench.start(PAPERS)
    await bench.until(lambda: bool(bench.log.statuses), "the queue is served")
    assert await redis_client.hgetall(BUDGET_LIMITS) == {"arxiv": "1/3000"}
    engine.configure([replace(PAPERS, budgets=(replace(ARXIV, max=2, per_ms=5_000),))])
    async with asyncio.timeout(1):
        while await redis_client.hget(BUDGET_LIMITS, "arxiv") != "2/5000":  # noqa: ASYNC110 - Redis has no such event
            await asyncio.sleep(0.01)
    assert await redis_client.pttl(BUDGET_LIMITS) > 0
