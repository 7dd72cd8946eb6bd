"""The strict window and the line of a budget: our own draw.lua on a clock that the test owns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from support.budget_clock import EPOCH, LOOK_AGAIN_MS, Caller, Line, RedisOnTestClock

limits = st.tuples(st.integers(1, 4), st.integers(1, 4_000))
punctual = st.lists(st.builds(Caller, arrives=st.integers(0, 9_000)), min_size=1, max_size=25)
any_callers = st.lists(
    st.builds(
        Caller,
        arrives=st.integers(0, 9_000),
        late=st.sampled_from([0, 0, 0, 1, 3, 700, 5_000]),
        dies=st.sampled_from([False, False, False, True]),
        leaves=st.sampled_from([False, False, False, True]),
    ),
    min_size=1,
    max_size=25,
)


def most_in_any_interval(instants: list[int], per_ms: int) -> int:
    """Brute force: the most calls in any closed interval of that length."""
    return max((sum(begin <= at <= begin + per_ms for at in instants) for begin in instants), default=0)


def in_order_of_arrival(callers: list[Caller]) -> list[int]:
    return sorted(range(len(callers)), key=lambda number: (callers[number].arrives, number))


def instants_of(line: Line, numbers: list[int]) -> list[int]:
    at = {number: instant for instant, number in line.called}
    return [at[number] for number in numbers]


@given(limits, any_callers)
def test_no_closed_interval_ever_holds_more_calls_than_the_limit_whoever_is_late_leaves_or_dies(
    limit: tuple[int, int], callers: list[Caller]
) -> None:
    line = Line(RedisOnTestClock(limit))
    line.play(callers)
    assert most_in_any_interval([at for at, _ in line.called], limit[1]) <= limit[0]


@given(limits, any_callers)
def test_everybody_who_stays_calls_in_the_end_and_only_once(limit: tuple[int, int], callers: list[Caller]) -> None:
    called = Line(RedisOnTestClock(limit)).play(callers)
    # Who may call at once neither dies nor leaves in a sleep.
    stayed = {number for number, caller in enumerate(callers) if not caller.dies and not caller.leaves}
    assert stayed <= set(called)
    assert len(called) == len(set(called))


@given(limits, punctual)
def test_callers_who_are_on_time_call_in_the_order_of_their_arrival_and_as_early_as_the_limit_allows(
    limit: tuple[int, int], callers: list[Caller]
) -> None:
    line = Line(RedisOnTestClock(limit))
    line.play(callers)
    allowed: list[int] = []
    for number in in_order_of_arrival(callers):
        earliest = EPOCH + callers[number].arrives
        if len(allowed) >= limit[0]:
            earliest = max(earliest, allowed[-limit[0]] + limit[1] + 1)
        allowed.append(earliest)
    assert instants_of(line, in_order_of_arrival(callers)) == allowed


@given(limits, punctual, st.integers(0, 8_000), st.integers(1, 20_000))
def test_a_hold_stops_those_who_sleep_already_and_they_go_on_in_their_order(
    limit: tuple[int, int], callers: list[Caller], begins: int, length: int
) -> None:
    line = Line(RedisOnTestClock(limit))

    def hold(redis: RedisOnTestClock) -> None:
        redis.held_until = EPOCH + begins + length

    line.edits = [(begins, hold)]
    line.play(callers)
    assert not [at for at, _ in line.called if EPOCH + begins <= at < EPOCH + begins + length]
    called_at = instants_of(line, in_order_of_arrival(callers))
    assert called_at == sorted(called_at)
    assert most_in_any_interval([at for at, _ in line.called], limit[1]) <= limit[0]


@given(limits, limits, any_callers, st.integers(0, 9_000))
def test_an_edited_limit_is_strict_from_then_on_and_sees_the_calls_made_before(
    before: tuple[int, int], after: tuple[int, int], callers: list[Caller], edited: int
) -> None:
    line = Line(RedisOnTestClock(before))

    def edit(redis: RedisOnTestClock) -> None:
        redis.limit = after

    line.edits = [(edited, edit)]
    line.play(callers)
    instants = [at for at, _ in line.called]
    for number, at in enumerate(instants):
        if at >= EPOCH + edited:
            assert sum(at - after[1] <= earlier for earlier in instants[: number + 1]) <= after[0]


def test_a_raised_limit_reaches_sleepers_within_the_time_after_which_they_look_again() -> None:
    line = Line(RedisOnTestClock((1, 60_000)))

    def raise_limit(redis: RedisOnTestClock) -> None:
        redis.limit = (10, 1_000)

    line.edits = [(1_000, raise_limit)]
    line.play([Caller(arrives=number) for number in range(4)])
    assert max(at for at, _ in line.called) <= EPOCH + 1_000 + LOOK_AGAIN_MS


def test_the_place_of_one_who_leaves_is_taken_by_the_next() -> None:
    line = Line(RedisOnTestClock((1, 3_000)))
    line.play([Caller(arrives=0), Caller(arrives=1, leaves=True), Caller(arrives=2)])
    assert line.called == [(EPOCH, 0), (EPOCH + 3_001, 2)]


def test_the_turn_of_one_who_died_just_passes() -> None:
    line = Line(RedisOnTestClock((1, 3_000)))
    line.play([Caller(arrives=0), Caller(arrives=1, dies=True), Caller(arrives=2)])
    assert line.called == [(EPOCH, 0), (EPOCH + 6_002, 2)]


def test_one_who_is_refused_is_told_how_far_off_its_turn_was_and_takes_no_place_from_others() -> None:
    redis = RedisOnTestClock((1, 3_000))
    redis.draw("a")
    assert redis.draw("b", longest=3_000)[:2] == ("refused", 3_001)
    assert redis.draw("c", longest=3_001)[:2] == ("wait", 3_001)
    redis.held_until = redis.now + 500
    assert redis.draw("d", longest=0)[3] == 500


def test_one_who_was_refused_and_comes_back_stands_before_all_who_came_after_it() -> None:
    redis = RedisOnTestClock((1, 3_000))
    redis.draw("a", job="a")
    redis.draw("b", job="b", longest=0)
    _, _, place, _ = redis.draw("c", job="c")
    redis.now += 1_000
    verdict, wait, first_place, _ = redis.draw("b again", job="b")
    assert (verdict, wait) == ("wait", 2_001)
    assert redis.draw("c", place, job="c")[:2] == ("wait", 5_002)
    # Only its next call: what it wants afterwards is new.
    redis.now += 2_001
    assert redis.draw("b again", first_place, job="b")[0] == "go"
    assert redis.draw("b's second", job="b")[:2] == ("wait", 6_002)


def test_a_call_that_is_asked_for_again_because_the_answer_was_lost_keeps_its_place_and_counts_once() -> None:
    redis = RedisOnTestClock((1, 3_000))
    assert redis.draw("a")[0] == "go"
    redis.now += 100
    assert redis.draw("a")[0] == "go"
    assert redis.zsets["calls"] == {"a": redis.now}, "when it is really made"
    place = redis.draw("b")[2]
    assert redis.draw("c")[1] == 6_002
    redis.now += 100
    assert redis.draw("b")[:3] == ("wait", 2_901, place)
    assert len(redis.zsets["line"]) == 2


@given(limits, st.integers(1, 5_000))
def test_a_clock_that_jumps_back_only_makes_the_limit_stricter(limit: tuple[int, int], jump: int) -> None:
    redis = RedisOnTestClock(limit)
    for number in range(limit[0]):
        assert redis.draw(f"c{number}")[0] == "go"
    redis.now -= jump
    verdict, wait, _, _ = redis.draw("after")
    assert (verdict, wait > limit[1]) == ("wait", True)
