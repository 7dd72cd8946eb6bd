"""Redis restarted, failed over, out of memory (noeviction), wrong eviction policy: refuse or wait with a clear message,
lose nothing.

A real Valkey with an append-only file, the real engine, the npm client; runs are in memory and take some milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ReadOnlyError

from paperjobs.model import RateLimit
from paperjobs.settings import RedisSettings
from paperjobs_runner.services.redis_link import connect
from paperjobs_runner.settings import RedisSettings as RunnersRedisSettings
from support.engine_bench import SETTINGS, EngineBench
from support.scripted import Step, completes, fails, rate_limited, script
from support.scripted_cluster import ScriptedCluster
from support.switchboard import switchboard
from support.valkey import DURABLE, ValkeyServer, running_valkey
from support.webapp import WebApp, WebAppError, web_app

BUSY = replace(SETTINGS, concurrency=4)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server of this test's own, with an append-only file."""
    with running_valkey(tmp_path, DURABLE) as server:
        yield server


@dataclass(kw_only=True)
class Bench(EngineBench):
    """An engine whose runs do as their jobs say, and what a person would look at."""

    scripted: ScriptedCluster
    caplog: pytest.LogCaptureFixture

    def told(self, level: int) -> list[str]:
        """The engine's log lines of a level."""
        records = self.caplog.records
        return [r.getMessage() for r in records if r.name.startswith("paperjobs") and r.levelno == level]


@pytest.fixture
async def bench(valkey: ValkeyServer, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Bench]:
    """A stopped engine on that server."""
    caplog.set_level(logging.INFO)
    cluster = ScriptedCluster()
    redis = RedisSettings(host="127.0.0.1", port=valkey.port)
    made = Bench(redis=redis, cluster=cluster, scripted=cluster, caplog=caplog)
    yield made
    await made.kill()
    await cluster.close()


@pytest.fixture
async def web(valkey: ValkeyServer, node: Path, webapp_dir: Path) -> AsyncIterator[WebApp]:
    async with web_app(node, webapp_dir, valkey.port) as app:
        yield app


KINDS: list[tuple[list[Step], dict[str, Any]]] = [
    ([completes({"n": 1}, ms=80)], {}),
    ([fails("once", ms=60), completes({"n": 2}, ms=60)], {"attempts": 3}),
    ([rate_limited(ms=30), completes({"n": 2}, ms=30)], {"attempts": 1}),
    ([fails("once", ms=20), completes({"n": 2})], {"attempts": 2, "backoff": {"type": "fixed", "delay": 100}}),
    ([completes({"n": 1}, ms=10)], {"delay": 700}),
    ([completes({"n": 1})], {"priority": 3}),
]
"""Steps and options of a mixed backlog; every job of it completes after as many runs as it has steps."""


async def add_mixture(web: WebApp, count: int) -> dict[str, int]:
    """Add jobs of every kind; how many runs each takes, by its id."""
    runs = {}
    for number in range(count):
        steps, opts = KINDS[number % len(KINDS)]
        runs[await web.add("papers", script(*steps), **opts)] = len(steps)
    return runs


async def all_done(web: WebApp, count: int, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while (await web.ask("counts", queue="papers"))["completed"] < count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def assert_each_ran_and_ended_once(bench: Bench, web: WebApp, runs: dict[str, int]) -> None:
    """Every claim had one run, every job as many runs as its data asked for, and one end."""
    assert Counter(job.id for _, job in bench.cluster.launched) == Counter(runs)
    assert len({name for name, _ in bench.cluster.launched}) == sum(runs.values())
    events = Counter((event["event"], event.get("jobId")) for event in await web.events("papers"))
    assert {job_id: events["completed", job_id] for job_id in runs} == dict.fromkeys(runs, 1)
    counts = await web.ask("counts", queue="papers")
    assert counts.pop("completed") == len(runs)
    assert not any(counts.values())


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_restarts_lose_no_job_and_run_none_twice(
    bench: Bench, valkey: ValkeyServer, web: WebApp, how: str
) -> None:
    bench.start(replace(BUSY, rate_limit=RateLimit(max=12, per_ms=1000)))
    runs = await add_mixture(web, 36)
    for number in range(2):
        await asyncio.sleep(0.35)
        valkey.stop() if how == "stop" else valkey.kill()
        # The web app goes on queueing: its client keeps what it cannot send.
        adding = asyncio.create_task(add_mixture(web, 6))
        await asyncio.sleep(0.4 * number)
        valkey.start()
        runs |= await asyncio.wait_for(adding, 20)
        failures = len(bench.log.failures)
        await bench.until(lambda: bool(bench.log.statuses[-1:]), "a tick works again")

    assert failures
    await all_done(web, len(runs))
    await assert_each_ran_and_ended_once(bench, web, runs)


async def test_an_outage_is_told_once_at_its_begin_and_once_at_its_end_and_costs_few_attempts(
    bench: Bench, valkey: ValkeyServer, web: WebApp
) -> None:
    bench.start(BUSY)
    runs = await add_mixture(web, 4)
    await all_done(web, 4)
    valkey.stop()
    await asyncio.sleep(4)
    # Pauses of 0.5, 1, 2, 4 s … between them.
    assert 1 <= len(bench.log.failures) <= 4
    (warning,) = bench.told(logging.WARNING)
    assert "Redis" in warning
    assert "nothing is claimed" in warning
    shown = bench.cluster.queue_statuses[-1]
    assert shown.reason == "RedisUnavailable"
    assert "Redis" in shown.message
    assert shown.counts.completed == 4, "what was seen last stays"

    valkey.start()
    runs |= await add_mixture(web, 6)
    await all_done(web, len(runs))
    assert bench.cluster.queue_statuses[-1].reason != "RedisUnavailable"
    assert len(bench.told(logging.WARNING)) == 1
    assert sum("works again" in line for line in bench.told(logging.INFO)) == 1
    await assert_each_ran_and_ended_once(bench, web, runs)


async def test_an_engine_that_starts_before_redis_waits_for_it(bench: Bench, valkey: ValkeyServer, web: WebApp) -> None:
    runs = await add_mixture(web, 6)
    valkey.stop()
    bench.start(BUSY)
    await bench.until(lambda: bool(bench.log.failures), "a tick fails")
    valkey.start()
    await all_done(web, len(runs))
    await assert_each_ran_and_ended_once(bench, web, runs)


async def test_a_redis_that_still_loads_its_data_is_waited_for(bench: Bench, valkey: ValkeyServer, web: WebApp) -> None:
    bench.start(BUSY)
    runs = await add_mixture(web, 12)
    await asyncio.sleep(0.2)
    async with Redis(port=valkey.port) as redis:
        await redis.mset({f"ballast:{number}": "x" * 100 for number in range(3000)})
        await redis.bgrewriteaof()
        await asyncio.sleep(0.5)
    valkey.stop()
    valkey.start("--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024", ready=False)
    await bench.until(lambda: any("LOADING" in str(e) or "loading" in str(e) for e in bench.log.failures), "LOADING")
    await all_done(web, len(runs))
    await assert_each_ran_and_ended_once(bench, web, runs)


async def test_a_failover_to_a_replica_is_followed_without_a_restart(
    valkey: ValkeyServer, bench: Bench, node: Path, webapp_dir: Path, tmp_path: Path
) -> None:
    """The old primary lives on as a replica: it keeps its connections and answers READONLY."""
    folder = tmp_path / "replica"
    folder.mkdir()
    with running_valkey(folder, [*DURABLE, "--replicaof", f"127.0.0.1 {valkey.port}"]) as replica:
        async with switchboard(valkey.port) as board, Redis(port=valkey.port, decode_responses=True) as primary:
            async with asyncio.timeout(20):
                while "'state': 'online'" not in str(await primary.info("replication")):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            bench.redis = RedisSettings(host="127.0.0.1", port=board.port)
            bench.start(BUSY)
            async with web_app(node, webapp_dir, board.port) as before:
                runs = await add_mixture(before, 24)
                await asyncio.sleep(0.3)
            await primary.execute_command(  # type: ignore[no-untyped-call]
                "FAILOVER", "TO", "127.0.0.1", str(replica.port)
            )
            async with asyncio.timeout(20):
                while (await primary.info("replication"))["role"] != "slave":  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            board.target = replica.port

            async with web_app(node, webapp_dir, board.port) as web:
                runs |= await add_mixture(web, 12)
                await all_done(web, len(runs))
                await assert_each_ran_and_ended_once(bench, web, runs)
                assert any("read only" in str(error).lower() for error in bench.log.failures)


async def test_a_run_that_goes_through_a_failover_finds_the_new_primary(valkey: ValkeyServer, tmp_path: Path) -> None:
    """Its own connection: for progress, and for the calls it draws from budgets."""
    folder = tmp_path / "replica"
    folder.mkdir()
    with running_valkey(folder, DURABLE) as other:
        async with switchboard(valkey.port) as board, Redis(port=valkey.port) as primary:
            settings = RunnersRedisSettings(
                host="127.0.0.1", port=board.port, username=None, password=None, tls=False, db=0
            )
            with connect(settings) as client:
                assert await asyncio.to_thread(client.incr, "calls") == 1
                await primary.replicaof("127.0.0.1", str(other.port))
                board.target = other.port
                with pytest.raises(ReadOnlyError):
                    await asyncio.to_thread(client.incr, "calls")
                assert await asyncio.to_thread(client.incr, "calls") == 1


async def test_a_redis_out_of_memory_loses_no_job_and_no_outcome(
    bench: Bench, valkey: ValkeyServer, web: WebApp
) -> None:
    """With noeviction a full Redis refuses what needs memory: what it refused is recorded once it has some."""
    bench.start(BUSY)
    runs = await add_mixture(web, 18)
    await bench.until(lambda: bool(bench.cluster.launched), "runs are launched")
    async with Redis(port=valkey.port, decode_responses=True) as redis:
        await redis.config_set("maxmemory", "1")
        with pytest.raises(WebAppError, match="OOM"):
            await web.add("papers", script(completes()))
        await bench.until(lambda: bool(bench.log.failures), "Redis refuses")
        await asyncio.sleep(3)
        assert len(bench.log.failures) <= 4
        (warning,) = bench.told(logging.WARNING)
        assert "maxmemory" in warning
        assert "maxmemory" in bench.cluster.queue_statuses[-1].message
        await redis.config_set("maxmemory", "0")

    await all_done(web, len(runs))
    await assert_each_ran_and_ended_once(bench, web, runs)
    assert sum("works again" in line for line in bench.told(logging.INFO)) == 1


async def test_a_redis_that_cannot_save_and_refuses_writes_is_waited_for(
    bench: Bench, valkey: ValkeyServer, web: WebApp
) -> None:
    """MISCONF, also while the queue is idle: nothing is to be told then, and nothing spins."""
    bench.start(BUSY)
    runs = await add_mixture(web, 6)
    await all_done(web, len(runs))
    runs |= {await web.add("papers", script(completes(ms=400))): 1}
    await bench.until(lambda: len(bench.cluster.launched) > 9, "the run is launched")
    async with Redis(port=valkey.port, decode_responses=True) as redis:
        in_the_way = valkey.folder / "dump.rdb"
        in_the_way.mkdir()
        await redis.config_set("save", "3600 1")
        await redis.bgsave()
        await asyncio.sleep(2)
        with pytest.raises(WebAppError, match="MISCONF"):
            await web.add("papers", script(completes()))
        await bench.until(lambda: "MISCONF" in "".join(bench.told(logging.WARNING)), "the refusal is told")
        assert len(bench.told(logging.WARNING)) == 1
        in_the_way.rmdir()
        await redis.bgsave()

    await all_done(web, len(runs))
    await assert_each_ran_and_ended_once(bench, web, runs)


async def test_an_idle_queue_whose_redis_refuses_writes_costs_little_and_takes_work_again(
    bench: Bench, valkey: ValkeyServer, web: WebApp
) -> None:
    """Ticks only read then, and work; what is refused is the waiting for work."""
    bench.start(replace(BUSY, rate_limit=RateLimit(max=100, per_ms=1000)))
    await asyncio.sleep(0.3)
    async with Redis(port=valkey.port, decode_responses=True) as redis:
        await redis.config_set("min-replicas-to-write", "1")
        await redis.client_kill_filter(_type="normal", skipme=True)
        await asyncio.sleep(1)
        ticks = len(bench.log.statuses)
        await asyncio.sleep(6)
        assert len(bench.log.failures) <= 1, "a broken connection at most"
        assert len(bench.log.statuses) - ticks <= 4
        (warning,) = [line for line in bench.told(logging.WARNING) if "Waiting for work" in line]
        assert "NOREPLICAS" in warning
        await redis.config_set("min-replicas-to-write", "0")
    runs = await add_mixture(web, 6)
    await all_done(web, len(runs))
    await assert_each_ran_and_ended_once(bench, web, runs)


async def test_a_network_that_swallows_everything_for_fifteen_seconds_loses_nothing(
    bench: Bench, valkey: ValkeyServer, web: WebApp
) -> None:
    """What was sent before our time-out is carried out when Redis wakes: a claim whose answer was lost has one run."""
    bench.start(replace(BUSY, rate_limit=RateLimit(max=10, per_ms=500)))
    runs = await add_mixture(web, 30)
    await asyncio.sleep(0.4)
    valkey.freeze()
    await asyncio.sleep(15)
    valkey.thaw()

    await all_done(web, len(runs))
    assert 1 <= len(bench.log.failures) <= 3
    assert "did not answer within 10 s" in bench.told(logging.WARNING)[0]
    await assert_each_ran_and_ended_once(bench, web, runs)


async def test_a_redis_that_may_evict_jobs_is_given_nothing_to_lose_until_its_policy_is_mended(
    bench: Bench, valkey: ValkeyServer, web: WebApp
) -> None:
    async with Redis(port=valkey.port, decode_responses=True) as redis:
        await redis.config_set("maxmemory", "200mb")
        await redis.config_set("maxmemory-policy", "allkeys-lru")
        runs = await add_mixture(web, 6)
        bench.start(BUSY)
        await bench.until(lambda: bool(bench.cluster.queue_statuses), "the refusal is shown")
        await asyncio.sleep(1)
        shown = bench.cluster.queue_statuses[-1]
        assert shown.reason == "RedisEvicts"
        assert "maxmemory-policy allkeys-lru" in shown.message
        assert "config set maxmemory-policy noeviction" in shown.message
        assert bench.cluster.launched == []

        await redis.config_set("maxmemory-policy", "noeviction")
    await bench.until(lambda: bool(bench.cluster.launched), "work goes on", seconds=12)
    await all_done(web, len(runs))
    await assert_each_ran_and_ended_once(bench, web, runs)
