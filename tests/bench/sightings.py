"""When objects appear in the API server: raw watches of an administrator, outside of the operator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from support.kubeapi import KubeApi

JOBS: Final = "/apis/batch/v1/jobs"
PAPERJOBS: Final = "/apis/paperjobs.dev/v1alpha1/paperjobs"

Matches = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True)
class Sighting:
    """An object and the time.monotonic() at which its event arrived."""

    at: float
    body: dict[str, Any]


@dataclass(frozen=True)
class _Expected:
    path: str
    event: str
    matches: Matches
    future: asyncio.Future[Sighting]


class Sightings:
    """Made by `sightings`."""

    def __init__(self) -> None:
        self._expected: list[_Expected] = []

    def created(self, path: str, matches: Matches) -> asyncio.Future[Sighting]:
        """The first object that is created from now on and matches; later events of older objects are not taken."""
        return self._expect(path, "ADDED", matches)

    def changed(self, path: str, matches: Matches) -> asyncio.Future[Sighting]:
        """The first object that is changed from now on and then matches."""
        return self._expect(path, "MODIFIED", matches)

    async def follow(self, api: KubeApi, path: str, listed: asyncio.Event) -> None:
        """Watch a collection for ever; `listed` is set when the first list is there."""
        async for event, body in api.watch(path):
            if event == "LISTED":
                listed.set()
                continue
            seen = Sighting(time.monotonic(), body)
            for expected in list(self._expected):
                if (expected.path, expected.event) == (path, event) and expected.matches(body):
                    self._expected.remove(expected)
                    if not expected.future.done():
                        expected.future.set_result(seen)

    def _expect(self, path: str, event: str, matches: Matches) -> asyncio.Future[Sighting]:
        future: asyncio.Future[Sighting] = asyncio.get_running_loop().create_future()
        self._expected.append(_Expected(path, event, matches, future))
        return future


@asynccontextmanager
async def sightings(api: KubeApi, paths: Sequence[str]) -> AsyncIterator[Sightings]:
    """Watches that are open when the context begins."""
    seen = Sightings()
    listed = [asyncio.Event() for _ in paths]
    tasks = [asyncio.create_task(seen.follow(api, path, begun)) for path, begun in zip(paths, listed, strict=True)]
    try:
        async with asyncio.timeout(20):
            await asyncio.gather(*(one.wait() for one in listed))
        await asyncio.sleep(0.5)  # from the list to the open watch
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
