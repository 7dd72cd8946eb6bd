"""Each test here runs twice: on the queue in memory, and on BullmqJobQueue with a real Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from integration.conformance.sides import MemorySide, Side, ValkeySide


@pytest.fixture(params=["memory", "valkey"])
async def side(request: pytest.FixtureRequest, redis_client: Redis, valkey_port: int) -> AsyncIterator[Side]:
    """One of the two."""
    if request.param == "memory":
        yield MemorySide()
        return
    real = ValkeySide(redis_client, valkey_port)
    yield real
    await real.close()
