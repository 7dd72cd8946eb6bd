"""What Redis tells a queue's loop between two ticks: work has arrived, or somebody wants a job cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from paperjobs.engine.backoff import LAST_BACKOFF_S, backoff_s
from paperjobs.errors import PaperJobsError
from paperjobs.ports import JobQueue

SAID_AT: Final = 2
"""The failure in a row that is told of: the first one is met by a tick too, which tells of it."""

log = logging.getLogger(__name__)


class News:
    """Waits for news of one queue and calls `wake` for each."""

    def __init__(self, queue: JobQueue, name: str, wake: Callable[[], None]) -> None:
        """`name` is the BullMQ queue, for the log."""
        self._queue = queue
        self._name = name
        self._wake = wake
        self._hungry = asyncio.Event()

    def want_work(self, wanted: bool) -> None:
        """Whether work that arrives could be started: a full queue's arrivals are not waited for, and cost nothing."""
        if wanted:
            self._hungry.set()
        else:
            self._hungry.clear()

    async def watch(self) -> None:
        """Wake the loop until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_for_work(), name=f"work of {self._name}")
            tasks.create_task(self._watch_for_requests(), name=f"requests of {self._name}")

    async def _watch_for_work(self) -> None:
        failures = 0
        while True:
            await self._hungry.wait()
            try:
                arrived = await self._queue.wait_for_work()
                failures = 0
                if not arrived:
                    continue
            except Exception as error:
                failures += 1
                self._failed(error, failures)
                await asyncio.sleep(backoff_s(failures))
            self._hungry.clear()
            self._wake()

    async def _watch_for_requests(self) -> None:
        """A full or held queue hears of a request too. While Redis fails, the ticks' own time will do."""
        failures = 0
        while True:
            try:
                if await self._queue.wait_for_request():
                    self._wake()
                failures = 0
            except Exception as error:
                failures += 1
                self._failed(error, 1)
                await asyncio.sleep(backoff_s(failures))

    def _failed(self, error: Exception, failures: int) -> None:
        """A fault that ticks meet too is told by them. If a tick has worked since the first failure, this one is not:
        a Redis that answers reads and refuses writes."""
        expected = isinstance(error, PaperJobsError)
        if not expected or failures == SAID_AT:
            log.log(
                logging.WARNING if expected else logging.ERROR,
                "Waiting for work fails, the queue is looked at every %d s until it works: %s",
                round(LAST_BACKOFF_S),
                f"{type(error).__name__}: {error}",
                exc_info=None if expected else error,
                extra={"action": "wait_failed", "queue": self._name},
            )
