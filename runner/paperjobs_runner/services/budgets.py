"""Budgets: limits on the calls to external services that this run shares with every other run on the same Redis.

A call is drawn at the moment it is made, since a pod may start long after its job was claimed. Whoever cannot call yet
sleeps in the line, first come first served; whoever would sleep too long gives the job back, and keeps its place. When
Redis cannot be asked, nothing is called.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from paperjobs_runner.contract import BUDGET_LIMITS, Assignment, Budget, digest
from paperjobs_runner.deadline import CALL_RESERVE_S, Deadline
from paperjobs_runner.errors import BudgetSpent, RateLimited
from paperjobs_runner.services.allowance import LONGEST_WAIT_S, Allowance
from paperjobs_runner.services.redis_link import connect
from paperjobs_runner.settings import RedisSettings

if TYPE_CHECKING:
    from redis import Redis

LOOK_AGAIN_S: Final = 5.0
"""Seconds after which a sleeper looks whether its turn has moved: a raised limit acts on it this soon."""

REDIS_PATIENCE_S: Final = 30.0
"""Seconds of trying to ask Redis: most failovers are over by then."""
REDIS_PAUSE_S: Final = 1.0

RETENTION_MS: Final = 3_600_000
"""Milliseconds for which calls and refused places are remembered at least: an interval that is edited to be longer sees
an hour back, and a hold never lasts longer."""

CALLS_KEPT: Final = 10_000
"""Calls remembered at most beyond what the limit needs: about 1 MB of Redis."""

_SCRIPTS: Final = Path(__file__).parent / "lua"

_log = logging.getLogger(__name__)


class Budgets:
    """The budgets of one run's queue; implements `Allowances`. Connects to Redis with the first call."""

    def __init__(self, assignment: Assignment, settings: RedisSettings | None, deadline: Deadline) -> None:
        """`settings` may be None only when the assignment has no budgets (`read_settings` sees to that)."""
        self._budgets = {budget.name: budget for budget in assignment.budgets}
        self._settings = settings
        self._client: Redis | None = None
        self._scripts: dict[str, Any] = {}
        self.run = assignment.run
        self.job = digest(assignment.prefix, assignment.queue, assignment.job_id)
        self.deadline = deadline
        self.sleep_left_s = assignment.timeout_seconds / 2
        """Half of a run's time, at most, is spent in lines: the rest must do for its work."""

    def of(self, service: str, otherwise: Allowance) -> Allowance:
        """The budget that is named after the service, else `otherwise`."""
        budget = self._budgets.get(service)
        return otherwise if budget is None else _Line(self, budget)

    def evaluate(self, name: str, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        """Run a script of `lua/`; raises RedisError or OSError, and connects anew next time: after a failover the old
        connection may lead to a server that takes no writes."""
        if self._client is None:
            assert self._settings is not None, "read_settings demands REDIS_HOST for budgets"  # noqa: S101
            self._client = connect(self._settings)
        if name not in self._scripts:
            self._scripts[name] = self._client.register_script((_SCRIPTS / f"{name}.lua").read_text(encoding="utf-8"))
        try:
            return self._scripts[name](keys=keys, args=args)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the connection back."""
        if self._client is not None:
            self._client.close()
        self._client = None
        self._scripts.clear()


class _Line:
    """The line before one service, as this run stands in it; implements `Allowance`."""

    def __init__(self, run: Budgets, budget: Budget) -> None:
        self._run = run
        self._budget = budget

    def draw(self) -> None:
        """Sleep until it is this run's turn; raises BudgetSpent when that is too far off, or Redis cannot be asked."""
        call, place, told = os.urandom(8).hex(), "", False
        try:
            while True:
                verdict, wait_ms, place, held_ms = self._look(call, place)
                if verdict == "go":
                    return
                if verdict == "refused":
                    raise self._too_far_off(wait_ms, held_ms)
                if not told and wait_ms >= 1000:
                    _log.info("waiting %.0f s for a turn on the budget %s", wait_ms / 1000, self._budget.name)
                    told = True
                self._sleep(min(wait_ms / 1000, LOOK_AGAIN_S))
        except BaseException:
            self._give_back(call)
            raise

    def hold(self, asked: RateLimited) -> bool:
        """Let nobody call the service for as long as it asked; raises `asked` when Redis cannot be told, so that the
        operator does it."""
        from redis.exceptions import RedisError

        asked.budget = self._budget.name
        try:
            if asked.retry_after_ms > 0:
                self._run.evaluate("hold_budget", [self._budget.key("hold")], [asked.retry_after_ms, self._run.run])
        except (RedisError, OSError) as error:
            _log.warning("the budget %s could not be held (%s)", self._budget.name, type(error).__name__)
            raise asked from None
        asked.budget_held = True
        return True

    def _look(self, call: str, place: str) -> tuple[str, int, str, int]:
        """What draw.lua says."""
        from redis.exceptions import AuthorizationError, NoPermissionError, RedisError

        budget, deadline = self._budget, self._run.deadline
        keys = [*(budget.key(part) for part in ("calls", "line", "refused", "hold")), BUDGET_LIMITS]
        give_up_at = deadline.clock() + REDIS_PATIENCE_S
        while True:
            longest = min(LONGEST_WAIT_S, self._run.sleep_left_s, deadline.remaining() - CALL_RESERVE_S)
            longest_ms = int(max(0.0, longest) * 1000)
            args = (budget.name, call, place, self._run.job, budget.max, budget.per_ms, longest_ms)
            try:
                verdict, wait_ms, place, held_ms = self._run.evaluate("draw", keys, (*args, RETENTION_MS, CALLS_KEPT))
            except (RedisError, OSError) as error:
                forbidden = isinstance(error, (NoPermissionError, AuthorizationError))
                if forbidden or deadline.clock() >= give_up_at or not deadline.allows(REDIS_PAUSE_S):
                    raise self._unknown(error, forbidden) from None
                _log.warning("Redis cannot be asked for the budget %s (%s)", budget.name, type(error).__name__)
                deadline.sleep(REDIS_PAUSE_S)
            else:
                return str(verdict), int(wait_ms), str(place), int(held_ms)

    def _sleep(self, seconds: float) -> None:
        self._run.sleep_left_s -= seconds
        self._run.deadline.sleep(seconds)

    def _give_back(self, call: str) -> None:
        """The call will not be made: whoever is next in the line moves up."""
        from redis.exceptions import RedisError

        with contextlib.suppress(RedisError, OSError):  # else the turn just passes
            self._run.evaluate("give_back", [self._budget.key("line")], [call])

    def _too_far_off(self, wait_ms: int, held_ms: int) -> BudgetSpent:
        """Until a hold ends, or the line is short enough to stand in."""
        again_ms = max(held_ms, wait_ms - int(LONGEST_WAIT_S * 1000), 1000)
        why = "is held, since its service asked to wait" if held_ms else "is used up"
        message = f"the budget {self._budget.name} {why}: the next turn is in {wait_ms / 1000:.0f} s"
        spent = BudgetSpent(message, retry_after_ms=again_ms)
        if held_ms:
            spent.budget, spent.budget_held = self._budget.name, True
        return spent

    def _unknown(self, error: Exception, forbidden: bool) -> BudgetSpent:
        remedy = "; allow the user of REDIS_USERNAME the keys {paperjobs}:*" if forbidden else ""
        message = f"Redis cannot be asked for the budget {self._budget.name} ({type(error).__name__}){remedy}"
        return BudgetSpent(message, retry_after_ms=int(REDIS_PATIENCE_S * 1000))
