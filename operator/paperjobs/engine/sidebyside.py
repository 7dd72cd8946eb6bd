"""Doing several things at once, but not too many."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Final

TOGETHER: Final = 10
"""Steps in progress at a time: more in flight only makes the API server slower."""


async def side_by_side(steps: Iterable[Coroutine[Any, Any, None]]) -> list[BaseException | None]:
    """Carry out all steps; what each raised, in their order. One that fails stops none of the others."""
    room = asyncio.Semaphore(TOGETHER)

    async def carry_out(step: Coroutine[Any, Any, None]) -> None:
        async with room:
            await step

    return await asyncio.gather(*map(carry_out, steps), return_exceptions=True)
