"""The engine's stopwatch, for pauses and throttles. Limits are counted by Redis' clock, never by this one."""

from __future__ import annotations

import asyncio


def seconds() -> float:
    """Seconds on the event loop's clock: monotonic, and a test may own it."""
    return asyncio.get_running_loop().time()
