"""Every await of the engine that leaves its process, as a thing that the test decides on.

A request is first *made*; then, in any order with all others, it takes effect, and its answer arrives — or an error
arrives instead: before the effect, after it (the answer was lost), or ahead of it (the request is still under way).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from paperjobs.errors import PaperJobsError


class Fate(Enum):
    """What may happen to a request that waits."""

    ANSWERED = "takes effect if it has not yet, and is answered"
    EFFECT_ONLY = "takes effect; its answer is still under way"
    REFUSED = "fails and never takes effect"
    LOST = "takes effect, and an error arrives instead of the answer"
    LATE = "an error arrives now, and it takes effect later"


@dataclass(eq=False)
class Request:
    """One await. `act` does the effect and never waits; `unavailable` makes the error of its port."""

    process: str
    what: str
    act: Callable[[], Coroutine[Any, Any, Any]]
    unavailable: Callable[[], PaperJobsError]
    reads: bool
    answer: asyncio.Future[Any]
    done: bool = False
    result: Any = None
    error: PaperJobsError | None = None
    expires: int = 0
    """Until when a request whose sender gave up may take effect (ms)."""

    def take_effect(self) -> None:
        if self.done:
            return
        self.done = True
        coroutine = self.act()
        try:
            coroutine.send(None)
        except StopIteration as returned:
            self.result = returned.value
        except PaperJobsError as error:
            self.error = error
        else:
            coroutine.close()
            raise AssertionError(f"{self.what} waited: only requests may")

    def respond(self) -> None:
        if self.answer.done():
            return
        if self.error is not None:
            self.answer.set_exception(self.error)
        else:
            self.answer.set_result(self.result)

    def fail(self) -> None:
        if not self.answer.done():
            self.answer.set_exception(self.unavailable())


@dataclass
class Traffic:
    """All requests under way, oldest first."""

    create_future: Callable[[], asyncio.Future[Any]]
    waiting: list[Request] = field(default_factory=list)
    """Somebody waits for their answers."""
    adrift: list[Request] = field(default_factory=list)
    """Writes whose senders gave up or died; they may still take effect."""
    log: list[str] = field(default_factory=list)
    """What happened, for people."""

    async def cross(
        self,
        process: str,
        what: str,
        act: Callable[[], Coroutine[Any, Any, Any]],
        *,
        unavailable: Callable[[], PaperJobsError],
        reads: bool = False,
    ) -> Any:
        """Make a request and wait for its answer."""
        request = Request(
            process=process, what=what, act=act, unavailable=unavailable, reads=reads, answer=self.create_future()
        )
        self.waiting.append(request)
        try:
            return await request.answer
        finally:
            if request in self.waiting:  # its sender was cancelled
                self.waiting.remove(request)
                if not request.done and not reads:
                    self.adrift.append(request)

    def decide(self, request: Request, fate: Fate) -> None:
        """Let a waiting request meet its fate."""
        self.log.append(f"    {request.process} {request.what}: {fate.name.lower()}")
        if fate in (Fate.ANSWERED, Fate.EFFECT_ONLY, Fate.LOST):
            request.take_effect()
        if fate is Fate.EFFECT_ONLY:
            return
        self.waiting.remove(request)
        if fate is Fate.ANSWERED:
            request.respond()
            return
        if fate is Fate.LATE and not request.done and not request.reads:
            self.adrift.append(request)
        request.fail()

    def land(self, request: Request) -> None:
        """Let a request that nobody waits for take effect after all."""
        self.log.append(f"    {request.process} {request.what}: takes effect late")
        self.adrift.remove(request)
        request.take_effect()
