"""BullMQ's attempts and backoff, against npm bullmq's own rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paperjobs.bullmq.parse import keep_jobs, options, stacktrace
from paperjobs.bullmq.retry import MAX_BACKOFF_MS, FailForGood, RetryAfter, decide_retry
from paperjobs.model import Backoff, BackoffType, Outcome, OutcomeKind, QueueSettings

SETTINGS = QueueSettings(
    name="q",
    queue="q",
    pipeline="p",
    concurrency=1,
    attempts=3,
    backoff=Backoff(type=BackoffType.FIXED, delay_ms=7000),
)
FAILED = Outcome(kind=OutcomeKind.FAILED, reason="Error")
NEVER = Outcome(kind=OutcomeKind.NEVER, reason="BadPayload")


def _retry(opts: dict[str, Any], made: int, outcome: Outcome = FAILED, draw: float = 0.5) -> RetryAfter | FailForGood:
    return decide_retry(opts, made, outcome, SETTINGS, lambda: draw)


@pytest.mark.parametrize(
    ("opts", "made", "expected"),
    [
        # The producer's attempts: 1 means no retry.
        ({"attempts": 1}, 0, FailForGood()),
        ({"attempts": 2}, 0, RetryAfter(delay_ms=0)),
        ({"attempts": 2}, 1, FailForGood()),
        ({"attempts": 3, "backoff": 500}, 1, RetryAfter(delay_ms=500)),
        ({"attempts": 3, "backoff": {"type": "fixed", "delay": 250}}, 1, RetryAfter(delay_ms=250)),
        # npm: Math.pow(2, attemptsMade - 1) * delay, attemptsMade already counting this failure.
        ({"attempts": 9, "backoff": {"type": "exponential", "delay": 100}}, 0, RetryAfter(delay_ms=100)),
        ({"attempts": 9, "backoff": {"type": "exponential", "delay": 100}}, 3, RetryAfter(delay_ms=800)),
        # npm stores attempts 0 when the producer set none: the queue's defaults hold.
        ({"attempts": 0}, 0, RetryAfter(delay_ms=7000)),
        ({}, 1, RetryAfter(delay_ms=7000)),
        ({}, 2, FailForGood()),
        ({"backoff": {"type": "fixed", "delay": 10}}, 0, RetryAfter(delay_ms=10)),
        # A strategy that lives in a TypeScript worker's code cannot be known here: the queue's default stands in.
        ({"attempts": 2, "backoff": {"type": "my-strategy"}}, 0, RetryAfter(delay_ms=7000)),
        # Jitter draws from the last half.
        ({"attempts": 2, "backoff": {"type": "fixed", "delay": 100, "jitter": 0.5}}, 0, RetryAfter(delay_ms=75)),
    ],
)
def test_a_failed_run_is_retried_as_bullmq_would(
    opts: dict[str, Any], made: int, expected: RetryAfter | FailForGood
) -> None:
    assert _retry(opts, made) == expected


def test_a_permanent_failure_ends_at_once_whatever_attempts_says() -> None:
    assert _retry({"attempts": 100, "backoff": 5}, 0, NEVER) == FailForGood()


junk = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "attempts": junk,
            "backoff": junk
            | st.dictionaries(
                st.sampled_from(["type", "delay", "jitter"]), junk | st.sampled_from(["fixed", "exponential"])
            ),
        },
    ),
    st.integers(0, 10_000),
    st.floats(0, 1, exclude_max=True),
)
def test_options_that_a_hostile_producer_wrote_still_give_a_decision(
    opts: dict[str, Any], made: int, draw: float
) -> None:
    decision = _retry(opts, made, draw=draw)
    assert isinstance(decision, FailForGood) or 0 <= decision.delay_ms <= MAX_BACKOFF_MS


@pytest.mark.parametrize(
    ("option", "kept"),
    [
        (True, True),
        (False, False),
        (5, 5),
        ({"count": 3}, {"count": 3}),
        ({"age": 60, "count": -1, "foo": 1}, {"age": 60, "count": -1}),
        ("yes", False),
        ({"count": "many"}, {}),
        (None, False),
    ],
)
def test_removal_options_of_other_types_keep_the_job(option: object, kept: object) -> None:
    assert keep_jobs(option) == kept


def test_stored_options_are_read_under_their_long_names_and_junk_counts_as_none() -> None:
    assert options('{"fpof":true,"attempts":2}') == {"failParentOnFailure": True, "attempts": 2}
    assert options("[1]") == options("nonsense") == options(None) == {}


def test_stack_traces_are_cut_to_the_newest_as_the_option_says() -> None:
    assert stacktrace('["a","b"]', "c", {}) == ["a", "b", "c"]
    assert stacktrace('["a","b"]', "c", {"stackTraceLimit": 2}) == ["b", "c"]
    assert stacktrace('["a"]', "b", {"stackTraceLimit": 0}) == []
    assert stacktrace("junk", "b", {}) == ["b"]
