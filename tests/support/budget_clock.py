"""The runner's draw.lua on a clock that the test owns: a line of callers, simulated event by event."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import lupa.lua51

from paperjobs_runner.services import budgets

SCRIPT: Final = (Path(budgets.__file__).parent / "lua" / "draw.lua").read_text()
EPOCH: Final = 1_700_000_000_000
LOOK_AGAIN_MS: Final = int(budgets.LOOK_AGAIN_S * 1000)


class RedisOnTestClock:
    """The commands that draw.lua uses, on plain dictionaries, with a clock that the test sets."""

    def __init__(self, limit: tuple[int, int]) -> None:
        self.now = EPOCH
        """Milliseconds; every question comes a microsecond after the one before."""
        self.limit = limit
        """max and per (ms), as an operator writes them."""
        self.held_until = 0
        self.zsets: dict[str, dict[str, float]] = {"calls": {}, "line": {}, "refused": {}}
        self._questions = 0
        self._lua = lupa.lua51.LuaRuntime(unpack_returned_tuples=True)
        self._script: Callable[..., Any] = self._lua.eval(f"function(redis, KEYS, ARGV) {SCRIPT} end")

    def draw(self, call: str, place: str = "", *, job: str = "job", longest: int = 10**9) -> tuple[str, int, str, int]:
        """Verdict, wait, place, rest of a hold."""
        self._questions += 1
        redis = self._lua.table_from({"call": self._call})
        keys = self._lua.table_from(["calls", "line", "refused", "hold", "limits"])
        argv = self._lua.table_from([*map(str, ("arxiv", call, place, job, 1, 1, longest, 3_600_000, 10_000))])
        answer = self._script(redis, keys, argv)
        return str(answer[1]), int(answer[2]), str(answer[3]), int(answer[4])

    def _call(self, command: str, *args: Any) -> Any:  # noqa: PLR0911, PLR0912  # one branch for each command
        zset = self.zsets.get(str(args[0]), {}) if args else {}
        match command:
            case "TIME":
                return self._list([str(self.now // 1000), str(self.now % 1000 * 1000 + self._questions % 1000)])
            case "HGET":
                return f"{self.limit[0]}/{self.limit[1]}"
            case "GET":
                return f"{self.held_until} some-run" if self.held_until > self.now else False
            case "ZSCORE":
                return f"{zset[args[1]]:.0f}" if args[1] in zset else False
            case "ZREM":
                zset.pop(args[1], None)
            case "ZCARD":
                return len(zset)
            case "ZRANGE":
                some = _in_order(zset)[int(args[1]) :][: None if args[2] == -1 else int(args[2] - args[1]) + 1]
                return self._list([part for member, at in some for part in (member, f"{at:.0f}")])
            case "ZADD":
                zset[args[2]] = float(args[1])
            case "ZREMRANGEBYSCORE":
                for member in [member for member, at in zset.items() if at < float(args[2].lstrip("("))]:
                    del zset[member]
            case "ZREMRANGEBYRANK":
                for member, _ in _in_order(zset)[: len(zset) + int(args[2]) + 1]:
                    del zset[member]
            case "PEXPIRE":
                pass
            case other:
                raise AssertionError(f"draw.lua uses {other}, which is not simulated")
        return 1

    def _list(self, items: list[str]) -> Any:
        return self._lua.table_from(items)


def _in_order(zset: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(zset.items(), key=lambda entry: (entry[1], entry[0]))


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody who wants to make one call. Times in ms."""

    arrives: int
    late: int = 0
    """How much later than told it looks again: a busy machine."""
    dies: bool = False
    """It is killed in its first sleep."""
    leaves: bool = False
    """It is asked to leave in its first sleep, and gives its place back."""


@dataclass
class Line:
    """Plays callers against one budget and remembers who called when."""

    redis: RedisOnTestClock
    called: list[tuple[int, int]] = field(default_factory=list)
    """Instant and number of the caller, in order."""
    edits: list[tuple[int, Callable[[RedisOnTestClock], None]]] = field(default_factory=list)
    """What somebody else does at an instant."""

    def play(self, callers: list[Caller]) -> list[int]:
        """Until everybody has called or is gone; the numbers of those who called, in order."""
        events: list[tuple[int, int, int, str]] = []
        for number, caller in enumerate(callers):
            heapq.heappush(events, (EPOCH + caller.arrives, 1, number, ""))
        for number, (at, _) in enumerate(self.edits):
            heapq.heappush(events, (EPOCH + at, 0, number, ""))
        while events:
            self.redis.now, kind, number, place = heapq.heappop(events)
            if kind == 0:
                self.edits[number][1](self.redis)
                continue
            caller, call = callers[number], f"call-{number}"
            verdict, wait, place, _ = self.redis.draw(call, place, job=f"job-{number}")
            if verdict == "go":
                self.called.append((self.redis.now, number))
            elif caller.leaves:
                del self.redis.zsets["line"][f"{place}:{call}"]
            elif not caller.dies:
                look = self.redis.now + min(wait, LOOK_AGAIN_MS) + caller.late
                heapq.heappush(events, (look, 1, number, place))
        return [number for _, number in self.called]
