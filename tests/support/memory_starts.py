"""The window, the hold and the fence of a queue in memory: what `bullmq/lua/window.lua` keeps in Redis."""

from __future__ import annotations

from dataclasses import dataclass, field

from paperjobs.errors import NoLongerLeading
from paperjobs.model import RateLimit
from support.fakeclock import FakeClock


@dataclass
class MemoryStarts:
    """When each token's start was made (ms), until when nothing is admitted, the newest term of each installation."""

    clock: FakeClock
    at: dict[str, int] = field(default_factory=dict)
    held_until: int = -1
    terms: dict[str, int] = field(default_factory=dict)

    def check_term(self, installation: str, term: int) -> None:
        """Let a newer term begin, and refuse an older one: raises NoLongerLeading."""
        newest = self.terms.get(installation, -1)
        if newest > term:
            raise NoLongerLeading
        self.terms[installation] = term

    def hold(self, duration_ms: int) -> None:
        self.held_until = max(self.held_until, self.clock.now + duration_ms)

    @property
    def held(self) -> int | None:
        return self.held_until if self.held_until > self.clock.now else None

    def used(self, limit: RateLimit | None) -> int:
        return 0 if limit is None else len(self._inside(limit))

    def opens_at(self, limit: RateLimit | None, token: str = "") -> int | None:
        """When the next start may be made, None when now. A start of `token` itself does not count."""
        if limit is None:
            return None
        others = sorted(at for other, at in self._inside(limit).items() if other != token)
        return None if len(others) < limit.max else others[len(others) - limit.max] + limit.per_ms + 1

    def refused_until(self, limit: RateLimit | None, token: str) -> int | None:
        """When to ask again for a start under `token`; None when it may be made now."""
        return self.held if self.held is not None else self.opens_at(limit, token)

    def _inside(self, limit: RateLimit) -> dict[str, int]:
        return {token: at for token, at in self.at.items() if at >= self.clock.now - limit.per_ms}
