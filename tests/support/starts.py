"""When jobs started, as anybody can see it: the `active` events in the queue's stream, by the server's clock."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis


async def starts_seen(redis: Redis, queue: str, prefix: str = "bull") -> list[int]:
    """Times (ms) of all starts, in order. BullMQ tells a start in the step that makes it."""
    entries: Any = await redis.xrange(f"{prefix}:{queue}:events")
    return [int(entry_id.split("-")[0]) for entry_id, fields in entries if fields["event"] == "active"]


def most_in_any_interval(times: list[int], per_ms: int) -> int:
    """The most starts in any closed interval of the length: by brute force, from each start on."""
    return max((sum(1 for other in times if 0 <= other - first <= per_ms) for first in times), default=0)
