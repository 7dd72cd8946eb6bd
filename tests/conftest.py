"""The real services that tests use. A part that is missing is an error of the test that needs it, never a skip."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis.asyncio
from hypothesis import HealthCheck, settings

from support.node_project import install_webapp
from support.postgres import postgres_database, postgres_server
from support.tools import node as find_node
from support.valkey import valkey_server

# A busy machine is no finding: neither a slow example nor slow generation fails a test.
settings.register_profile("paperjobs", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("paperjobs")


@pytest.fixture(scope="session")
def valkey_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The loopback port of a real Valkey server that all tests share; `redis_client` empties it for each."""
    with valkey_server(tmp_path_factory.mktemp("valkey")) as port:
        yield port


@pytest.fixture
async def redis_client(valkey_port: int) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of an empty Valkey server, with text answers."""
    async with redis.asyncio.Redis(host="127.0.0.1", port=valkey_port, decode_responses=True) as client:
        await client.flushall()
        yield client


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    """The server named by TEST_DATABASE_URL (its user may create databases), else one started for the session."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
    else:
        with postgres_server() as url:
            yield url


@pytest.fixture
def postgres_url(postgres_server_url: str) -> Iterator[str]:
    """The URL (postgresql://…) of a new, empty PostgreSQL database."""
    with postgres_database(postgres_server_url) as url:
        yield url


@pytest.fixture(scope="session")
def node() -> Path:
    """A Node binary."""
    return find_node()


@pytest.fixture(scope="session")
def webapp_dir() -> Path:
    """The web app's Node project (tests/webapp) with its dependencies installed."""
    return install_webapp()
