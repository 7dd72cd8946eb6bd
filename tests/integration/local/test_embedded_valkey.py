"""The embedded Valkey: on loopback, keeping what was added, on a port that a web app can rely on."""

from __future__ import annotations

import socket
import sys

import pytest
import redis.asyncio

from paperjobs.local.process import ProcessId
from paperjobs.local.service import ServiceFailed, running
from paperjobs.local.statedir import SessionInfo, StateDir
from paperjobs.local.valkey import USUAL_PORT, embedded_valkey
from paperjobs.settings import RedisSettings


def _client(settings: RedisSettings) -> redis.asyncio.Redis:
    return redis.asyncio.Redis(host=settings.host, port=settings.port, decode_responses=True)


async def test_what_was_added_is_there_after_a_restart_and_nothing_is_ever_evicted(state: StateDir) -> None:
    async with embedded_valkey(state, 0) as (_, settings), _client(settings) as client:
        await client.set("job", "queued")
        assert await client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}

    async with embedded_valkey(state, 0) as (_, settings), _client(settings) as client:
        assert await client.get("job") == "queued"


async def test_it_listens_on_loopback_only(state: StateDir) -> None:
    async with embedded_valkey(state, 0) as (_, settings), _client(settings) as client:
        assert await client.config_get("bind") == {"bind": "127.0.0.1"}


async def test_when_the_usual_port_is_taken_it_comes_back_on_its_last_one(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr("paperjobs.local.valkey.USUAL_PORT", taken.getsockname()[1])
        async with embedded_valkey(state, None) as (_, first):
            state.publish(SessionInfo(redis_host=first.host, redis_port=first.port))
        async with embedded_valkey(state, None) as (_, second):
            pass

    assert first.port == second.port
    assert USUAL_PORT == 6379


async def test_it_takes_the_usual_port_when_that_is_free(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    monkeypatch.setattr("paperjobs.local.valkey.USUAL_PORT", free)

    async with embedded_valkey(state, None) as (_, settings):
        assert settings.port == free


async def test_a_wanted_port_that_is_taken_is_an_error_that_shows_why(state: StateDir) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ServiceFailed, match=r"(?s)valkey did not start.*in use"):
            async with embedded_valkey(state, taken.getsockname()[1]):
                pass


async def test_a_leftover_of_an_earlier_session_is_ended_before_its_data_is_opened_again(state: StateDir) -> None:
    async with embedded_valkey(state, 0) as (service, settings):
        leftover = ProcessId.of(service.process.pid)
        async with _client(settings) as client:
            await client.set("job", "queued")
        # A session that was killed would leave the file; here the server is still up.
        async with embedded_valkey(state, 0) as (_, second), _client(second) as client:
            assert not leftover.alive
            assert await client.get("job") == "queued"


async def test_the_end_of_a_service_is_noticed_with_the_end_of_its_log(state: StateDir) -> None:
    async with running(state, "cheese", [sys.executable, "-c", "print('out of cheese')"]) as service:
        failure = await service.ended()

    assert "cheese ended unexpectedly" in str(failure)
    assert "out of cheese" in str(failure)
