"""Budgets in Redis as the operator sees them: it reads what runs draw, writes the limits, and draws nothing itself.

The keys are in none of the queues: every queue, and every installation on the same Redis, shares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from redis.asyncio import Redis

from paperjobs.bullmq.connection import ask
from paperjobs.model import Budget, BudgetUse
from paperjobs_runner.contract import BUDGET_LIMITS

LIMITS_LAST_MS: Final = 24 * 3_600_000
"""How long limits are in force when no operator is there to write them again: as long as any run may live."""


class Budgets:
    """The budgets on one Redis. Every method raises RedisUnavailable."""

    def __init__(self, client: Redis) -> None:
        ours = files("paperjobs.bullmq") / "lua"
        runners = files("paperjobs_runner.services") / "lua"
        self._look = client.register_script((ours / "budgets.lua").read_text())
        self._mirror = client.register_script((ours / "mirror_budgets.lua").read_text())
        self._hold = client.register_script((runners / "hold_budget.lua").read_text())

    async def look(self, budgets: Sequence[Budget]) -> tuple[BudgetUse, ...]:
        """How far each is used, and which are held."""
        keys = [budget.key(part) for budget in budgets for part in ("calls", "hold")]
        found = await ask(self._look(keys=keys, args=[budget.per_ms for budget in budgets]))
        return tuple(_use(budget.name, *answer) for budget, answer in zip(budgets, found, strict=True))

    async def hold(self, budget: Budget, duration_ms: int, by: str) -> None:
        """Hold one, as a run would."""
        await ask(self._hold(keys=[budget.key("hold")], args=[duration_ms, by]))

    async def mirror(self, budgets: Sequence[Budget]) -> None:
        """Write their limits."""
        limits = [text for budget in budgets for text in (budget.name, budget.limit)]
        await ask(self._mirror(keys=[BUDGET_LIMITS], args=[LIMITS_LAST_MS, *limits]))


def _use(name: str, used: int, hold: str) -> BudgetUse:
    until, _, by = hold.partition(" ")
    return BudgetUse(name=name, used=used, held_until=int(until) if until.isdecimal() else None, held_by=by)
