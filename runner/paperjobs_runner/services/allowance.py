"""What a service asks before each of its calls: whether it may call now.

Three answers: always (no budget names the service), at a pace of the run's own (arXiv, without a budget), or as the
budget in Redis says, which all runs share (`budgets.py`).
"""

from __future__ import annotations

from typing import Final, Protocol

from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import RateLimited

LONGEST_WAIT_S: Final = 60.0
"""Seconds a run sleeps for one call to a service with a budget. It holds a slot meanwhile, but giving up is dearer: the
next run starts a pod, and spends calls on what this one had done. A minute is a line of twenty before arXiv; the seed's
queues have eight slots."""


class Allowance(Protocol):
    """The limit on the calls to one service."""

    def draw(self) -> None:
        """Return when one call may be made; raises BudgetSpent when that would take too long."""

    def hold(self, asked: RateLimited) -> bool:
        """The service asked to wait. True when every later `draw`, of whatever run, waits for it; False when the
        caller must see to that itself."""


class Allowances(Protocol):
    """The allowance of each service."""

    def of(self, service: str, otherwise: Allowance) -> Allowance:
        """The budget that is named after the service, else `otherwise`."""


class Unlimited:
    """The allowance of a service without a budget."""

    def draw(self) -> None:
        """At once."""

    def hold(self, asked: RateLimited) -> bool:
        """Nobody else is told."""
        return False


class Pace:
    """At least `interval_s` seconds between two calls of this run."""

    def __init__(self, interval_s: float, deadline: Deadline) -> None:
        self._interval_s = interval_s
        self._deadline = deadline
        self._last: float | None = None

    def draw(self) -> None:
        """Sleep until the interval is over."""
        if self._last is not None:
            pause = self._last + self._interval_s - self._deadline.clock()
            if pause > 0:
                self._deadline.sleep(self._deadline.limit(pause))
        self._last = self._deadline.clock()

    def hold(self, asked: RateLimited) -> bool:
        """Nobody else is told."""
        return False


class _NoBudgets:
    def of(self, service: str, otherwise: Allowance) -> Allowance:
        return otherwise


UNLIMITED: Final = Unlimited()

NO_BUDGETS: Final = _NoBudgets()
"""Of a queue that names no budget."""
