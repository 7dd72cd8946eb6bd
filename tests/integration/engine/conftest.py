"""An engine on a real Valkey and a cluster in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import redis.asyncio
from bullmq import Queue

from paperjobs.settings import RedisSettings
from support.engine_bench import EngineBench


@dataclass(kw_only=True)
class Bench(EngineBench):
    """With the producer's side of its queue."""

    producer: Queue


@pytest.fixture
async def bench(valkey_port: int, redis_client: redis.asyncio.Redis) -> AsyncIterator[Bench]:
    """A stopped engine on an empty Valkey."""
    made = Bench(
        redis=RedisSettings(host="127.0.0.1", port=valkey_port),
        producer=Queue("papers", {"connection": redis_client}),
    )
    yield made
    await made.kill()
