"""The strict sliding window: our own Lua, run on a clock that the test owns, against a brute-force model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lupa.lua51
from hypothesis import given
from hypothesis import strategies as st

from paperjobs.bullmq.scripts import own_script

SCRIPT = own_script("reserve")
HOUR_MS = 3_600_000


class RedisOnTestClock:
    """The commands that reserve.lua uses, on plain dictionaries, with a clock that the test sets (ms)."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000
        self.starts: dict[str, float] = {}
        self.hold: int | None = None
        self._lua = lupa.lua51.LuaRuntime(unpack_returned_tuples=True)
        self._script: Callable[..., Any] = self._lua.eval(f"function(redis, KEYS, ARGV) {SCRIPT} end")

    def reserve(self, token: str, limit: int, per_ms: int) -> int:
        redis = self._lua.table_from({"call": self._call})
        keys = self._lua.table_from(["starts", "hold", "leader"])
        argv = self._lua.table_from([token, str(limit), str(per_ms), str(HOUR_MS), "1000", "test", "0"])
        return int(self._script(redis, keys, argv))

    def _call(self, command: str, *args: Any) -> Any:  # noqa: PLR0911  # one for each command
        match command:
            case "TIME":
                return self._lua.table_from([str(self.now // 1000), str(self.now % 1000 * 1000)])
            case "GET":
                return False if self.hold is None else str(self.hold)
            case "ZCOUNT":
                return sum(at >= float(args[1]) for at in self.starts.values())
            case "ZSCORE":
                return str(int(self.starts[args[1]])) if args[1] in self.starts else False
            case "ZRANGEBYSCORE":
                inside = sorted((at, token) for token, at in self.starts.items() if at >= float(args[1]))
                return self._lua.table_from([part for at, token in inside for part in (token, str(int(at)))])
            case "HGET":
                return "0"
            case "PTTL":
                return HOUR_MS
            case "ZADD":
                self.starts[args[2]] = float(args[1])
            case "ZREMRANGEBYSCORE":
                self.starts = {token: at for token, at in self.starts.items() if at >= float(args[2][1:])}
        return 1


limits = st.integers(1, 5)
lengths = st.integers(1, 50)
pauses = st.lists(st.integers(0, 60), min_size=1, max_size=80)


def _most_in_any_interval(starts: list[int], per_ms: int) -> int:
    """Brute force: the most starts in any closed interval of that length."""
    return max(sum(begin <= at <= begin + per_ms for at in starts) for begin in starts)


@given(limits, lengths, pauses)
def test_no_closed_interval_of_the_window_s_length_ever_holds_more_starts_than_the_limit(
    limit: int, per_ms: int, waits: list[int]
) -> None:
    redis = RedisOnTestClock()
    starts = []
    for number, wait in enumerate(waits):
        redis.now += wait
        if redis.reserve(f"t{number}", limit, per_ms) == 0:
            starts.append(redis.now)
    assert _most_in_any_interval(starts, per_ms) <= limit


@given(limits, lengths, pauses)
def test_a_refusal_names_the_first_instant_at_which_a_start_is_allowed(
    limit: int, per_ms: int, waits: list[int]
) -> None:
    redis = RedisOnTestClock()
    for number, wait in enumerate(waits):
        redis.now += wait
        opens = redis.reserve(f"t{number}", limit, per_ms)
        if opens:
            now, kept = redis.now, dict(redis.starts)
            redis.now = opens - 1
            assert redis.reserve("early", limit, per_ms) == opens
            redis.now = opens
            assert redis.reserve("on time", limit, per_ms) == 0
            redis.now, redis.starts = now, kept


@given(limits, pauses, lengths, lengths, limits)
def test_limits_edited_up_or_down_count_the_starts_that_were_made_under_the_old_ones(
    limit: int, waits: list[int], per_ms: int, edited_per_ms: int, edited_limit: int
) -> None:
    redis = RedisOnTestClock()
    starts = []
    for number, wait in enumerate(waits):
        redis.now += wait
        if redis.reserve(f"t{number}", limit, per_ms) == 0:
            starts.append(redis.now)
    redis.now += 1
    before = sum(at >= redis.now - edited_per_ms for at in starts)
    allowed = redis.reserve("edited", edited_limit, edited_per_ms) == 0
    assert allowed == (before < edited_limit)


@given(st.integers(1, 1000))
def test_nothing_starts_before_a_hold_ends(length: int) -> None:
    redis = RedisOnTestClock()
    redis.hold = redis.now + length
    assert redis.reserve("t", 1, 1000) == redis.hold
    redis.now = redis.hold
    assert redis.reserve("t", 1, 1000) == 0


@given(limits, st.integers(1, 5000))
def test_a_clock_that_jumps_back_only_makes_the_window_stricter(limit: int, jump: int) -> None:
    redis = RedisOnTestClock()
    for number in range(limit):
        assert redis.reserve(f"t{number}", limit, 100) == 0
    redis.now -= jump
    assert redis.reserve("after", limit, 100) > redis.now


@given(limits, lengths, pauses, st.data())
def test_a_start_that_is_made_again_under_its_token_counts_once_and_when_it_was_made_last(
    limit: int, per_ms: int, waits: list[int], data: st.DataObject
) -> None:
    redis = RedisOnTestClock()
    for wait in waits:
        redis.now += wait
        token = data.draw(st.sampled_from(["a", "b", "c", "d"]))
        opens = redis.reserve(token, limit, per_ms)
        assert opens == 0 or opens > redis.now
        assert opens != 0 or redis.starts[token] == redis.now
        assert sum(at >= redis.now - per_ms for at in redis.starts.values()) <= limit


def test_without_a_limit_every_start_is_allowed_and_remembered() -> None:
    redis = RedisOnTestClock()
    assert [redis.reserve(f"t{number}", 0, 0) for number in range(20)] == [0] * 20
    assert len(redis.starts) == 20
    assert redis.reserve("limited", 20, 1000) > redis.now
