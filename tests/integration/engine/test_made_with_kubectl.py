"""PaperJobs that a person made, on a real Valkey, with objects and runs in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
import redis.asyncio

from integration.engine.conftest import Bench
from paperjobs.engine.waiting import AT_ONCE
from paperjobs.model import EnqueueOptions, JobPhase, PaperJobView
from support.engine_bench import SETTINGS
from support.memory_cluster import completed

FAR = 4_000_000_000_000
"""A time (ms) that no test lives to see."""


def _make(bench: Bench, number: int, options: EnqueueOptions) -> None:
    name = f"papers-{number}"
    bench.cluster.shown[name] = PaperJobView(name=name, job_id=f"pj-{number}", made_by_hand=True, options=options)


def _phases(bench: Bench) -> list[JobPhase | None]:
    return [view.status.phase if view.status is not None else None for view in bench.cluster.shown.values()]


@pytest.mark.parametrize(
    ("options", "phase"),
    [(EnqueueOptions(), JobPhase.WAITING), (EnqueueOptions(not_before=FAR), JobPhase.DELAYED)],
    ids=["waiting", "delayed"],
)
async def test_many_new_ones_are_enqueued_at_once_and_shown_in_parts(
    bench: Bench, redis_client: redis.asyncio.Redis, options: EnqueueOptions, phase: JobPhase
) -> None:
    for number in range(2 * AT_ONCE + 5):
        _make(bench, number, options)
    bench.start(replace(SETTINGS, suspend=True))

    # The next ticks follow at once: nothing else wakes this queue.
    await bench.until(lambda: set(_phases(bench)) == {phase}, "all are shown", seconds=3)
    assert len(bench.log.statuses) >= 2, "the third may just be ending"
    counts = await redis_client.llen("bull:papers:wait") + await redis_client.zcard("bull:papers:delayed")
    assert counts == 2 * AT_ONCE + 5


async def test_one_that_waits_for_a_slot_is_told_why_and_runs_when_there_is_one(bench: Bench) -> None:
    bench.start(replace(SETTINGS, concurrency=1))
    await bench.producer.add("paper", {})
    await bench.until(lambda: len(bench.cluster.launched) == 1, "the web app's job is launched")
    _make(bench, 1, EnqueueOptions())
    bench.cluster.on_change(SETTINGS.key)

    def reason() -> str:
        status = bench.cluster.shown["papers-1"].status
        return status.reason if status is not None else ""

    await bench.until(lambda: reason() == "ConcurrencyFull", "it says what it waits for")
    bench.cluster.end(bench.cluster.launched[0][0], completed())
    await bench.until(lambda: len(bench.cluster.launched) == 2, "it is launched")
    assert bench.cluster.launched[1][1].id == "pj-1"
