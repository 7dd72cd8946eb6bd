"""Writes statuses that change all the time: at most one write per object and interval, and always the last word."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from paperjobs.errors import ClusterUnavailable, LaunchRefused
from paperjobs.kube.api import Json

INTERVAL_SECONDS: Final = 1.0
"""Between two writes to one object: people cannot read faster, and each write costs the API server 5 ms."""

logger = logging.getLogger(__name__)


class StatusWriter:
    """Statuses waiting to be written, by object name."""

    def __init__(self, write: Callable[[str, Json], Awaitable[bool]], interval: float = INTERVAL_SECONDS) -> None:
        """`write` says whether there was anything to write."""
        self._write = write
        self._interval = interval
        self._wanted: dict[str, Json] = {}
        self._not_before: dict[str, float] = {}
        self._news = asyncio.Event()
        self._failing = False

    def show(self, name: str, status: Json) -> None:
        """Have a status written as soon as its turn comes; a newer one takes its place."""
        self._wanted[name] = status
        self._news.set()

    def forget(self, name: str) -> None:
        """The object is gone."""
        self._wanted.pop(name, None)
        self._not_before.pop(name, None)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            now = asyncio.get_running_loop().time()
            due = [name for name in self._wanted if self._not_before.get(name, 0.0) <= now]
            for name in due:
                await self._write_one(name)
            if not due:
                self._news.clear()
                await self._wait(min((self._not_before[name] for name in self._wanted), default=None))

    async def _wait(self, until: float | None) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._news.wait()
        except TimeoutError:
            return

    async def _write_one(self, name: str) -> None:
        status = self._wanted.pop(name, None)
        if status is None:
            return
        try:
            written = await self._write(name, status)
            self._failing = False
        except (ClusterUnavailable, LaunchRefused) as error:
            if not self._failing:  # once, not on every try
                logger.warning("The status of %s cannot be written, trying again: %s", name, error)
            self._failing = True
            self._wanted.setdefault(name, status)
            written = True
        if written:
            self._not_before[name] = asyncio.get_running_loop().time() + self._interval
