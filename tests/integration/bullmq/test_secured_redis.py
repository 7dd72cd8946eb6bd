"""A Redis behind TLS with a company's own authority, and a Redis whose users may do only what they must."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import RedisError

from paperjobs.bullmq.jobqueue import BullmqJobQueue
from paperjobs.errors import RedisUnavailable
from paperjobs.model import Outcome, OutcomeKind, QueueSettings
from paperjobs.settings import RedisSettings, read_settings
from paperjobs_runner.services.redis_link import connect
from paperjobs_runner.settings import RedisSettings as RunnersRedisSettings
from support.certificates import Authority, authority
from support.claims import take
from support.scripted import LOCK_MS
from support.switchboard import switchboard
from support.webapp import WebApp

COMPLETED = Outcome(kind=OutcomeKind.COMPLETED, reason="Completed", result={"n": 1})


@pytest.fixture
def trusted(tmp_path: Path) -> Authority:
    return authority(tmp_path)


def as_file(trusted: Authority) -> str:
    return str(trusted.file)


def as_text(trusted: Authority) -> str:
    return trusted.file.read_text()


def adapter(redis: RedisSettings) -> BullmqJobQueue:
    return BullmqJobQueue(QueueSettings(name="papers", queue="papers", pipeline="x", concurrency=2), redis, "test")


@pytest.mark.parametrize("given", [as_file, as_text])
async def test_a_redis_behind_tls_is_used_when_its_authority_is_named(
    web: WebApp, valkey_port: int, trusted: Authority, given: Callable[[Authority], str]
) -> None:
    job_id = await web.add("papers", {"paperId": "p1"})
    async with switchboard(valkey_port, trusted.server("localhost")) as door:
        env = {"REDIS_HOST": "localhost", "REDIS_PORT": str(door.port), "REDIS_TLS": "true"}
        queue = adapter(read_settings(RedisSettings, {**env, "REDIS_TLS_CA": given(trusted)}))
        try:
            job = await take(queue, LOCK_MS)
            assert job is not None
            assert await queue.finish(job.id, job.claim, COMPLETED)
        finally:
            await queue.close()
    assert await web.wait("papers", job_id) == {"n": 1}


@pytest.mark.parametrize(
    ("host", "authority_named"),
    [
        ("localhost", False),  # a certificate that nobody known has signed
        ("127.0.0.1", True),  # a certificate of another host
    ],
)
async def test_a_redis_that_cannot_prove_who_it_is_is_told_nothing(
    web: WebApp, valkey_port: int, trusted: Authority, host: str, authority_named: bool
) -> None:
    async with switchboard(valkey_port, trusted.server("localhost")) as door:
        redis = RedisSettings(host=host, port=door.port, tls=True, tls_ca=as_file(trusted) if authority_named else None)
        queue = adapter(redis)
        try:
            with pytest.raises(RedisUnavailable, match=r"(?i)certificate"):
                await queue.observe(None)
        finally:
            await queue.close()


@pytest.mark.parametrize("given", [as_file, as_text])
async def test_the_runner_verifies_redis_too(
    web: WebApp, valkey_port: int, trusted: Authority, given: Callable[[Authority], str]
) -> None:

    def ping(host: str, port: int, tls_ca: str | None) -> bool:
        settings = RunnersRedisSettings(
            host=host, port=port, username=None, password=None, tls=True, db=0, tls_ca=tls_ca
        )
        with connect(settings) as client:
            return bool(client.ping())

    async with switchboard(valkey_port, trusted.server("localhost")) as door:
        assert await asyncio.to_thread(ping, "localhost", door.port, given(trusted))
        for host, tls_ca in (("localhost", None), ("127.0.0.1", given(trusted))):
            with pytest.raises(RedisError, match=r"(?i)certificate"):
                await asyncio.to_thread(ping, host, door.port, tls_ca)
