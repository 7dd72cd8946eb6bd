"""How much time a run has left, and what each external call may take of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from paperjobs_runner.interrupt import OutOfTime

CALL_RESERVE_S: Final = 10
"""Seconds that must be left after a pause: one more call to a service needs about that long."""


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """An instant on the monotonic clock (seconds) by which the run must have ended."""

    at: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """The deadline that many seconds from now."""
        return cls(at=time.monotonic() + seconds)

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - self.clock())

    def limit(self, seconds: float) -> float:
        """At most `seconds`, and no more than is left; raises OutOfTime when nothing is left."""
        left = self.remaining()
        if left <= 0:
            raise OutOfTime
        return min(seconds, left)

    def allows(self, pause: float) -> bool:
        """Whether a pause of that many seconds leaves time for one more call."""
        return self.remaining() > pause + CALL_RESERVE_S
