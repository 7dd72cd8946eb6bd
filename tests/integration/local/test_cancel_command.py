"""`paperjobs cancel` says of each job what happens, and its exit code whether all are cancelled."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from bullmq import Queue, Worker
from redis.asyncio import Redis

from paperjobs.local.statedir import SessionInfo, StateDir
from paperjobs.model import QueueSettings
from paperjobs.settings import RedisSettings
from support.engine_bench import EngineBench
from support.local_command import clean_env, run_paperjobs

PAPERS = QueueSettings(name="papers", queue="papers", pipeline="institution-extraction", concurrency=1)


@pytest.fixture
def env(redis_client: Redis, valkey_port: int) -> dict[str, str]:
    """An empty Valkey, as the command's environment names it."""
    return clean_env(REDIS_HOST="127.0.0.1", REDIS_PORT=str(valkey_port))


async def _add(client: Redis, prefix: str = "bull", **opts: Any) -> str:
    queue = Queue("papers", {"connection": client, "prefix": prefix})
    return str((await queue.add("paper", {"paperId": "1"}, opts)).id)


async def _cancel(env: dict[str, str], *arguments: str) -> tuple[int, list[str]]:
    done = await asyncio.to_thread(run_paperjobs, ["cancel", "papers", *arguments], env=env)
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


async def test_it_asks_and_needs_nobody_to_serve_the_queue(redis_client: Redis, env: dict[str, str]) -> None:
    first, second = await _add(redis_client), await _add(redis_client, delay=60_000)

    later = "it will be cancelled, at once or as soon as somebody serves its queue"
    assert await _cancel(env, first, second, first) == (
        0,
        [f"job {first} waits in its queue; {later}", f"job {second} is delayed; {later}"],
    )
    assert await redis_client.hkeys("bull:papers:paperjobs:cancel") == [first, second]


async def test_wait_returns_when_the_engine_has_cancelled_all_of_them(
    redis_client: Redis, env: dict[str, str], valkey_port: int
) -> None:
    bench = EngineBench(redis=RedisSettings(host="127.0.0.1", port=valkey_port))
    bench.start(PAPERS)
    try:
        active = await _add(redis_client)
        await bench.until(lambda: bool(bench.cluster.launched), "the job is launched")
        waiting = await _add(redis_client)
        code, lines = await _cancel(env, active, waiting, "--wait", "--timeout", "20", "--reason", "the paper is gone")
    finally:
        await bench.kill()

    assert (code, lines[:2]) == (
        0,
        [f"job {active} is active; it will be cancelled", f"job {waiting} waits in its queue; it will be cancelled"],
    )
    assert sorted(lines[2:]) == [f"job {job_id} is cancelled" for job_id in sorted([active, waiting])]
    assert await redis_client.hget(f"bull:papers:{active}", "failedReason") == "cancelled: the paper is gone"
    assert await _cancel(env, active) == (0, [f"job {active} is cancelled already"])


async def test_wait_gives_up_in_time_and_the_request_stays(redis_client: Redis, env: dict[str, str]) -> None:
    job_id = await _add(redis_client)

    code, lines = await _cancel(env, job_id, "--wait", "--timeout", "0.5")

    assert (code, lines[-1]) == (1, f"job {job_id} has not ended after 0.5 s; it stays to be cancelled")
    assert await redis_client.hkeys("bull:papers:paperjobs:cancel") == [job_id]


async def test_a_job_that_cannot_be_cancelled_is_told_and_counts_as_a_failure(
    redis_client: Redis, env: dict[str, str]
) -> None:
    done, failed, foreign = [await _add(redis_client, attempts=1) for _ in range(3)]
    worker = Worker("papers", None, {"autorun": False, "connection": redis_client})
    jobs = [await worker.getNextJob("stock-token") for _ in range(3)]
    await jobs[0].moveToCompleted({}, "stock-token")
    await jobs[1].moveToFailed(RuntimeError("arXiv is down"), "stock-token")

    assert await _cancel(env, "none", done, failed, foreign) == (
        1,
        [
            "job none does not exist in this queue",
            f"job {done} has completed already",
            f"job {failed} has failed already: arXiv is down",
            f"job {foreign} is run by a BullMQ worker that is not PaperJobs; it is cancelled if it comes back "
            "to its queue",
        ],
    )


async def test_a_prefix_of_the_app_s_own_is_honoured(redis_client: Redis, env: dict[str, str]) -> None:
    job_id = await _add(redis_client, prefix="{app}")

    assert (await _cancel(env, job_id))[0] == 1
    assert (await _cancel(env, job_id, "--prefix", "{app}"))[0] == 0


async def test_without_redis_host_the_session_of_the_folder_is_used(
    redis_client: Redis, valkey_port: int, tmp_path: Path
) -> None:
    StateDir.at(tmp_path).publish(SessionInfo(redis_host="127.0.0.1", redis_port=valkey_port))
    job_id = await _add(redis_client)

    code, _ = await _cancel(clean_env(), job_id, "--state-dir", str(tmp_path))

    assert code == 0


def test_without_redis_and_session_it_says_what_to_do(tmp_path: Path) -> None:
    refused = run_paperjobs(["cancel", "papers", "1", "--state-dir", str(tmp_path / "none")])

    assert refused.returncode == 2
    assert "REDIS_HOST" in refused.stderr
    assert "paperjobs local" in refused.stderr


def test_a_redis_that_is_not_there_is_one_line() -> None:
    failed = run_paperjobs(["cancel", "papers", "1"], env=clean_env(REDIS_HOST="127.0.0.1", REDIS_PORT="1"))

    assert failed.returncode == 1
    assert failed.stderr.startswith("paperjobs: Redis: ConnectionError")
    assert len(failed.stderr.splitlines()) == 1


@pytest.mark.parametrize("wrong", [(), ("1", "--timeout", "-1"), ("1", "--reason", " ")])
def test_a_wrong_argument_is_a_usage_error(wrong: tuple[str, ...]) -> None:
    refused = run_paperjobs(["cancel", "papers", *wrong])

    assert refused.returncode == 2
    assert "usage: paperjobs cancel" in refused.stderr
