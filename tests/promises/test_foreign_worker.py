"""A stock BullMQ worker that was forgotten on a queue of ours: limits hold for both together, and people are told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import redis.asyncio

from paperjobs.model import RateLimit
from paperjobs.settings import RedisSettings
from support.engine_bench import SETTINGS, EngineBench
from support.memory_cluster import completed
from support.scripted import completes, script
from support.webapp import web_app

JOBS = 14
LIMIT = RateLimit(max=4, per_ms=1_000)


async def test_a_forgotten_bullmq_worker_shares_our_slots_and_our_window_and_every_job_runs_once(
    redis_client: redis.asyncio.Redis, node: Path, webapp_dir: Path, valkey_port: int
) -> None:
    bench = EngineBench(redis=RedisSettings(host="127.0.0.1", port=valkey_port))
    most_active = 0
    async with web_app(node, webapp_dir, valkey_port) as web:
        bench.start(replace(SETTINGS, concurrency=2, rate_limit=LIMIT))
        await bench.until(lambda: bool(bench.log.statuses), "our limits are mirrored")
        await web.ask("startWorker", queue="papers", opts={"concurrency": 5})
        ids = [await web.add("papers", script(completes(ms=300))) for _ in range(JOBS)]
        try:
            while await redis_client.zcard("bull:papers:completed") < JOBS:
                most_active = max(most_active, await redis_client.llen("bull:papers:active"))
                for name in [name for name, run in bench.cluster.existing.items() if run.live]:
                    bench.cluster.end(name, completed())
                await asyncio.sleep(0.02)
            theirs = set((await web.ask("stopWorker", queue="papers"))["runs"])
        finally:
            await bench.kill()

    ours = [job.id for _, job in bench.cluster.launched]
    assert sorted([*ours, *theirs]) == sorted(ids), "each job runs once, here or there"
    assert ours
    assert theirs
    assert most_active <= 2
    assert any(status.foreign for status in bench.log.statuses), "the PaperQueue's condition ForeignWorkers"
    started = sorted([int(await redis_client.hget(f"bull:papers:{job}", "processedOn") or 0) for job in ids])
    inside = [sum(begin <= at <= begin + LIMIT.per_ms for at in started) for begin in started]
    # BullMQ's own window is fixed, and a worker's job that came and went unseen counts in that one only.
    assert max(inside) < 2 * LIMIT.max
