"""The two parties of these tests: the npm client, and our adapter on the same Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest
from redis.asyncio import Redis

from paperjobs.bullmq.jobqueue import BullmqJobQueue
from paperjobs.model import QueueSettings
from paperjobs.settings import RedisSettings
from support.webapp import WebApp, web_app

QUEUE: Final = "papers"
"""The BullMQ queue that every test here uses."""


@pytest.fixture
async def web(redis_client: Redis, node: Path, webapp_dir: Path, valkey_port: int) -> AsyncIterator[WebApp]:
    """The web app, with npm bullmq 6."""
    async with web_app(node, webapp_dir, valkey_port) as app:
        yield app


@pytest.fixture(params=[5, 6])
async def any_web(
    request: pytest.FixtureRequest, redis_client: Redis, node: Path, webapp_dir: Path, valkey_port: int
) -> AsyncIterator[WebApp]:
    """The web app, with the current major version of npm bullmq and with the one before."""
    async with web_app(node, webapp_dir, valkey_port, bullmq=request.param) as app:
        yield app


@pytest.fixture
async def adapters(redis_client: Redis, valkey_port: int) -> AsyncIterator[Callable[..., BullmqJobQueue]]:
    """Makes adapters of the queue `papers` or of another, each with connections of its own."""
    async with AsyncExitStack() as opened:

        def make(queue: str = QUEUE) -> BullmqJobQueue:
            settings = QueueSettings(name=queue, queue=queue, pipeline="institution-extraction", concurrency=2)
            adapter = BullmqJobQueue(settings, RedisSettings(host="127.0.0.1", port=valkey_port), "test")
            opened.push_async_callback(adapter.close)
            return adapter

        yield make


@pytest.fixture
def queue(adapters: Callable[..., BullmqJobQueue]) -> BullmqJobQueue:
    """Our adapter of the queue `papers`."""
    return adapters()
