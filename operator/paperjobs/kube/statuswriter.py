"""Writes statuses that change all the time: at most one write per object and interval, and always the last word."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from paperjobs.errors import ClusterUnavailable, LaunchRefused
from paperjobs.kube.answers import Json
from paperjobs.kube.api import Resource

INTERVAL_SECONDS: Final = 1.0
"""Between two writes to one object: people cannot read faster, and each write costs the API server 5 ms."""

Key = tuple[Resource, str]
"""Kind and name of an object."""

logger = logging.getLogger(__name__)


class StatusWriter:
    """Statuses waiting to be written, by object."""

    def __init__(self, write: Callable[[Key, Json], Awaitable[bool]], interval: float = INTERVAL_SECONDS) -> None:
        """`write` says whether there was anything to write."""
        self._write = write
        self._interval = interval
        self._wanted: dict[Key, Json] = {}
        self._not_before: dict[Key, float] = {}
        self._news = asyncio.Event()
        self._failing = False
        self._refused: dict[Key, Json] = {}
        """What the server would not take: the same again would be refused again."""

    def show(self, kind: Resource, name: str, status: Json) -> None:
        """Have a status written as soon as its turn comes; a newer one takes its place."""
        if self._refused.get((kind, name)) == status:
            self._wanted.pop((kind, name), None)
            return
        self._wanted[kind, name] = status
        self._news.set()

    def forget(self, kind: Resource, name: str) -> None:
        """The object is gone."""
        self._wanted.pop((kind, name), None)
        self._not_before.pop((kind, name), None)
        self._refused.pop((kind, name), None)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            now = asyncio.get_running_loop().time()
            due = [key for key in self._wanted if self._not_before.get(key, 0.0) <= now]
            for key in due:
                await self._write_one(key)
            if not due:
                self._news.clear()
                await self._wait(min((self._not_before[key] for key in self._wanted), default=None))

    async def _wait(self, until: float | None) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._news.wait()
        except TimeoutError:
            return

    async def _write_one(self, key: Key) -> None:
        status = self._wanted.pop(key, None)
        if status is None:
            return
        try:
            written = await self._write(key, status)
            self._failing = False
            self._refused.pop(key, None)
        except LaunchRefused as error:
            if key not in self._refused:  # once, not for every new status
                logger.warning("The status of %s is refused and not shown: %s", key[1], error)
            self._refused[key] = status
            written = True
        except ClusterUnavailable as error:
            if not self._failing:  # once, not on every try
                logger.warning("The status of %s cannot be written, trying again: %s", key[1], error)
            self._failing = True
            self._wanted.setdefault(key, status)
            written = True
        if written:
            self._not_before[key] = asyncio.get_running_loop().time() + self._interval
