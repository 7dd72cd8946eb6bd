"""A clock that stands still until a test moves it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FakeClock:
    """Unix milliseconds, as the Redis server's clock of a test."""

    now: int = 1_700_000_000_000

    def advance(self, ms: int) -> None:
        """Let time pass."""
        self.now += ms
