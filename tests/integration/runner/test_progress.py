"""Progress and log lines in a real Redis, as BullMQ's clients see them, and a Redis that fails."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import redis.asyncio

from paperjobs_runner.contract import Assignment, claim_digest
from paperjobs_runner.errors import JobUnavailable, Superseded
from paperjobs_runner.redaction import Redactor
from paperjobs_runner.services.bullmq_job import read_job
from paperjobs_runner.services.progress import Progress
from paperjobs_runner.settings import RedisSettings

KEY = "bull:papers:7"


def assignment(payload: str | None = None, claim: int = 1, run: str = "r") -> Assignment:
    return Assignment(
        queue="papers",
        prefix="bull",
        pipeline="institution-extraction",
        job_id="7",
        job_name="",
        run=run,
        claim=claim,
        attempt=1,
        payload=payload,
        timeout_seconds=60,
    )


def settings(port: int) -> RedisSettings:
    return RedisSettings(host="127.0.0.1", port=port, username=None, password=None, tls=False, db=0)


async def test_progress_reaches_the_job_and_the_event_stream(
    redis_client: redis.asyncio.Redis, valkey_port: int
) -> None:
    await redis_client.hset(KEY, mapping={"data": "{}", "opts": "{}"})
    progress = Progress(assignment(), settings(valkey_port), Redactor())
    progress.update(40, "extracting the text")
    progress.close()
    expected = {"percent": 40, "step": "extracting the text"}
    assert json.loads(await redis_client.hget(KEY, "progress") or "") == expected
    events: Any = await redis_client.xrange("bull:papers:events")
    ((_, event),) = events
    assert (event["event"], event["jobId"], json.loads(event["data"])) == ("progress", "7", expected)


async def test_log_lines_are_kept_as_the_producer_wants_and_hold_no_secret(
    redis_client: redis.asyncio.Redis, valkey_port: int
) -> None:
    await redis_client.hset(KEY, mapping={"data": "{}", "opts": json.dumps({"kl": 2})})
    progress = Progress(assignment(), settings(valkey_port), Redactor(["hunter22"]))
    for line in ("one", "two", "the password is hunter22"):
        progress.log(line)
    progress.close()
    assert await redis_client.lrange(f"{KEY}:logs", 0, -1) == ["two", "the password is ***"]


async def test_a_job_that_was_removed_is_not_brought_back(redis_client: redis.asyncio.Redis, valkey_port: int) -> None:
    progress = Progress(assignment(), settings(valkey_port), Redactor())
    progress.update(40, "x")
    progress.log("x")
    progress.close()
    assert await redis_client.keys("*") == []


def test_a_redis_that_is_gone_is_asked_twice_and_fails_nothing(caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress(assignment(), settings(1), Redactor())
    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for percent in range(20):
            progress.update(percent, "x")
            progress.log("x")
        progress.close()
    assert time.monotonic() - started < 2
    assert len(caplog.records) == 2


async def test_the_payload_is_read_from_the_job_when_the_environment_has_none(
    redis_client: redis.asyncio.Redis, valkey_port: int
) -> None:
    await redis_client.hset(KEY, mapping={"data": '{"paperId":"p"}', "ats": "1"})
    assert read_job(assignment(), settings(valkey_port)).data == '{"paperId":"p"}'


@pytest.mark.parametrize(
    "claim",
    [
        1,  # the job was claimed again
        3,  # the job was removed and added again under its id: its claims count from 1
    ],
)
async def test_a_claim_that_is_over_is_seen_before_any_work(
    claim: int, redis_client: redis.asyncio.Redis, valkey_port: int
) -> None:
    await redis_client.hset(KEY, mapping={"data": "{}", "ats": "2"})
    with pytest.raises(Superseded):
        read_job(assignment(payload="{}", claim=claim), settings(valkey_port))


async def test_a_claim_of_an_earlier_life_of_the_job_is_seen_although_its_number_is_the_same(
    redis_client: redis.asyncio.Redis, valkey_port: int
) -> None:
    run = {
        token: f"papers-{claim_digest('bull', 'papers', '7', 1, token)}" for token in ("paperjobs:old", "paperjobs:new")
    }
    await redis_client.hset(KEY, mapping={"data": "{}", "ats": "1", "pb": "paperjobs:new"})
    present = read_job(assignment(payload="{}", run=run["paperjobs:new"]), settings(valkey_port))
    assert present.confirmed_at is not None
    with pytest.raises(Superseded):
        read_job(assignment(payload="{}", run=run["paperjobs:old"]), settings(valkey_port))


async def test_a_worker_without_a_name_leaves_our_token_and_its_claim_is_still_a_newer_one(
    redis_client: redis.asyncio.Redis, valkey_port: int
) -> None:
    run = f"papers-{claim_digest('bull', 'papers', '7', 1, 'paperjobs:t')}"
    await redis_client.hset(KEY, mapping={"data": "{}", "ats": "2", "pb": "paperjobs:t"})
    with pytest.raises(Superseded):
        read_job(assignment(payload="{}", run=run), settings(valkey_port))


async def test_only_redis_confirms_that_a_claim_is_the_jobs_present_one(
    redis_client: redis.asyncio.Redis, valkey_port: int
) -> None:
    assert read_job(assignment(payload="{}"), settings(valkey_port)).confirmed_at is None  # it was removed
    await redis_client.hset(KEY, mapping={"data": "{}", "ats": "1"})
    before = datetime.now(UTC)
    confirmed_at = read_job(assignment(payload="{}"), settings(valkey_port)).confirmed_at
    assert confirmed_at is not None
    assert before <= confirmed_at <= datetime.now(UTC)


async def test_a_payload_that_cannot_be_read_is_a_passing_fault(
    redis_client: redis.asyncio.Redis, valkey_port: int
) -> None:
    with pytest.raises(JobUnavailable, match="no longer in Redis"):
        read_job(assignment(), settings(valkey_port))
    with pytest.raises(JobUnavailable, match="ConnectionError"):
        read_job(assignment(), settings(1))
    with pytest.raises(JobUnavailable, match="set REDIS_HOST"):
        read_job(assignment(), None)


def test_a_run_that_has_its_payload_does_without_redis() -> None:
    for redis_settings in (settings(1), None):
        job = read_job(assignment(payload="{}"), redis_settings)
        assert (job.data, job.confirmed_at) == ("{}", None)
