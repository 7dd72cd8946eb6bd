"""An event loop without I/O whose time is a fake clock: the engine's own tasks, timers and sleeps run on it, and
nothing happens unless the test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any, Final, cast

from support.fakeclock import FakeClock

EARLY_S: Final = 1e-6
"""Sums of seconds are not exact: a timer may be due so much early, or it would never be."""


class SteppedLoop:
    """As much of an event loop as tasks, futures, events and time-outs need; `asyncio` is itself as they know it."""

    def __init__(self, clock: FakeClock) -> None:
        self.asyncio = cast(asyncio.AbstractEventLoop, self)
        self._clock = clock
        self._began = clock.now
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self.errors: list[BaseException] = []
        """What tasks raised that nobody awaited."""

    # --- the test's side

    def run_ready(self) -> None:
        """Run every callback that can run now."""
        with self._running():
            while self._ready:
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()

    @property
    def next_timer(self) -> int | None:
        """When the next timer is due (ms of the clock)."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._began + math.ceil((self._timers[0][0] - EARLY_S) * 1000) if self._timers else None

    def fire_timers(self) -> None:
        """Make ready what is due."""
        while self._timers and self._timers[0][0] - EARLY_S <= self.time():
            handle = heapq.heappop(self._timers)[2]
            if not handle.cancelled():
                self._ready.append(handle)

    @contextmanager
    def _running(self) -> Iterator[None]:
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(self.asyncio)
        try:
            yield
        finally:
            asyncio._set_running_loop(outer)

    # --- asyncio's side

    def time(self) -> float:
        return (self._clock.now - self._began) / 1000

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self.asyncio, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self.asyncio, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self.asyncio)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self.asyncio, name=name, context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.errors.append(error if error is not None else RuntimeError(context["message"]))
