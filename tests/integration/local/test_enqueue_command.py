"""`paperjobs enqueue` adds what the web app's JobQueueService adds, and can wait for the end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from paperjobs.local.statedir import SessionInfo, StateDir
from support.local_command import clean_env, run_paperjobs
from support.webapp import web_app

QUEUE = "institution-extraction"
URL = "https://arxiv.org/abs/1706.03762"


def _arguments(*more: str, paper: str = "42") -> list[str]:
    return ["enqueue", QUEUE, "--paper-id", paper, "--arxiv-url", URL, *more]


@pytest.fixture
def env(redis_client: Redis, valkey_port: int) -> dict[str, str]:
    """An empty Valkey, as the command's environment names it."""
    return clean_env(REDIS_HOST="127.0.0.1", REDIS_PORT=str(valkey_port))


async def test_the_job_is_the_one_that_the_web_apps_own_service_adds(
    redis_client: Redis, env: dict[str, str], node: Path, webapp_dir: Path, valkey_port: int
) -> None:
    added = await asyncio.to_thread(run_paperjobs, _arguments(), env=env)
    async with web_app(node, webapp_dir, valkey_port) as app:
        by_npm = await app.ask("service", method="queueInstitutionExtraction", paperId="43", arxivUrl=URL)

    ours, npms = [await _stored(redis_client, job_id) for job_id in (added.stdout.strip(), by_npm["jobId"])]
    assert ours.pop("data") == {"paperId": "42", "arxivUrl": URL}
    assert npms.pop("data") == {"paperId": "43", "arxivUrl": URL}
    assert ours == npms


async def test_a_paper_that_still_waits_is_not_added_twice(redis_client: Redis, env: dict[str, str]) -> None:
    first, second = [await asyncio.to_thread(run_paperjobs, _arguments(), env=env) for _ in range(2)]

    assert first.stdout == second.stdout
    assert await redis_client.llen(f"bull:{QUEUE}:wait") == 1


async def test_priority_delay_and_attempts_are_bullmqs_own(redis_client: Redis, env: dict[str, str]) -> None:
    first = await asyncio.to_thread(run_paperjobs, _arguments("--priority", "3", "--attempts", "1"), env=env)
    later = await asyncio.to_thread(run_paperjobs, _arguments("--delay", "60", paper="43"), env=env)

    assert await redis_client.zrange(f"bull:{QUEUE}:prioritized", 0, -1) == [first.stdout.strip()]
    assert await redis_client.zrange(f"bull:{QUEUE}:delayed", 0, -1) == [later.stdout.strip()]
    assert (await _stored(redis_client, first.stdout.strip()))["opts"]["attempts"] == 1


async def test_wait_gives_up_in_time_and_leaves_the_job_queued(redis_client: Redis, env: dict[str, str]) -> None:
    waited = await asyncio.to_thread(run_paperjobs, _arguments("--wait", "--timeout", "0.5"), env=env)

    assert waited.returncode == 1
    assert "has not ended after 0.5 s" in waited.stderr
    assert await redis_client.llen(f"bull:{QUEUE}:wait") == 1


async def test_without_redis_host_the_session_of_the_folder_is_used(
    redis_client: Redis, valkey_port: int, tmp_path: Path
) -> None:
    StateDir.at(tmp_path).publish(SessionInfo(redis_host="127.0.0.1", redis_port=valkey_port))

    added = await asyncio.to_thread(run_paperjobs, _arguments("--state-dir", str(tmp_path)))

    assert added.returncode == 0, added.stderr
    assert await redis_client.llen(f"bull:{QUEUE}:wait") == 1


def test_without_redis_and_session_it_says_what_to_do(tmp_path: Path) -> None:
    refused = run_paperjobs(_arguments("--state-dir", str(tmp_path / "none")))

    assert refused.returncode == 2
    assert "REDIS_HOST" in refused.stderr
    assert "paperjobs local" in refused.stderr
    assert not (tmp_path / "none").exists()


def test_a_redis_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    failed = run_paperjobs(_arguments(), env=clean_env(REDIS_HOST="127.0.0.1", REDIS_PORT="1"))

    assert failed.returncode == 1
    assert failed.stderr.startswith("paperjobs: Redis: ConnectionError")
    assert len(failed.stderr.splitlines()) == 1


@pytest.mark.parametrize("wrong", [("--attempts", "0"), ("--delay", "-1"), ("--delay", "nan"), ("--priority", "x")])
def test_a_wrong_argument_is_a_usage_error_that_names_it(wrong: tuple[str, str]) -> None:
    refused = run_paperjobs(_arguments(*wrong))

    assert refused.returncode == 2
    assert wrong[0] in refused.stderr


async def _stored(client: Redis, job_id: str) -> dict[str, Any]:
    """A job as it is in Redis, without what differs by nature; the options are compared, not their order."""
    fields: dict[str, Any] = await client.hgetall(f"bull:{QUEUE}:{job_id}")  # type: ignore[assignment]
    fields.pop("timestamp")
    fields.pop("deid", None)
    opts = json.loads(fields.pop("opts"))
    opts.pop("de", None)
    # The Python package writes the default out, the npm package does not.
    assert opts.pop("delay", 0) == 0
    return {**fields, "data": json.loads(fields["data"]), "opts": opts}
