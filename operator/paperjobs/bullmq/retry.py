"""What BullMQ's attempts and backoff mean for a run that failed: pure, the adapter executes the decision.

The rules are those of npm bullmq's `Job.moveToFailed` and `Backoffs` (6.7.0): attemptsMade + 1 < attempts decides,
fixed waits `delay`, exponential 2^(attemptsMade) x delay, jitter j draws from the last j of that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from paperjobs.model import Backoff, BackoffType, Outcome, OutcomeKind, QueueSettings

MAX_BACKOFF_MS = 30 * 24 * 3600 * 1000
"""A month: exponential backoff with many attempts would otherwise pass what BullMQ's sorted sets can hold."""


@dataclass(frozen=True, kw_only=True)
class RetryAfter:
    """Try again after `delay_ms`; 0 means at once."""

    delay_ms: int


@dataclass(frozen=True, kw_only=True)
class FailForGood:
    """No attempt is left, or none would help."""


def decide_retry(
    opts: Mapping[str, Any],
    attempts_made: int,
    outcome: Outcome,
    settings: QueueSettings,
    random: Callable[[], float],
) -> RetryAfter | FailForGood:
    """Retry or fail a job whose run ended with `outcome`; `opts` are the BullMQ job options as stored."""
    if outcome.kind is OutcomeKind.NEVER:
        return FailForGood()
    attempts = _whole(opts.get("attempts"))
    # npm's Job stores attempts 0 when the producer set none.
    by_producer = attempts > 0
    if attempts_made + 1 >= (attempts if by_producer else settings.attempts):
        return FailForGood()
    backoff = read_backoff(opts.get("backoff"))
    if backoff is None and (opts.get("backoff") or not by_producer):
        backoff = settings.backoff
    return RetryAfter(delay_ms=_delay(backoff, attempts_made + 1, random) if backoff else 0)


def too_many_disruptions(outcome: Outcome, disruptions: int, settings: QueueSettings) -> Outcome | None:
    """What a disruption counts as when it is one too many for this attempt; None when the job may simply return.

    `disruptions` counts those of the attempt, this one included. Without a cap a job that takes its node down would
    come back for ever."""
    if disruptions <= settings.disruptions:
        return None
    return replace(
        outcome,
        kind=OutcomeKind.FAILED,
        reason="TooManyDisruptions",
        message=f"the run was disrupted {disruptions} times in one attempt, which counts as a failure now; "
        f"the last time: {outcome.message or outcome.reason}",
    )


def read_backoff(option: object) -> Backoff | None:
    """BullMQ's `backoff` option (a number or {type, delay, jitter}); None when absent, or not one of the built-ins."""
    if isinstance(option, (int, float)) and not isinstance(option, bool):
        return Backoff(type=BackoffType.FIXED, delay_ms=_whole(option)) if option > 0 else None
    if not isinstance(option, Mapping) or option.get("type") not in tuple(BackoffType):
        return None
    jitter = option.get("jitter", 0)
    return Backoff(
        type=BackoffType(option["type"]),
        delay_ms=_whole(option.get("delay")),
        jitter=min(1.0, max(0.0, float(jitter))) if isinstance(jitter, (int, float)) else 0.0,
    )


def _delay(backoff: Backoff, failures: int, random: Callable[[], float]) -> int:
    longest = backoff.delay_ms
    if backoff.type is BackoffType.EXPONENTIAL:
        longest = backoff.delay_ms << min(failures - 1, 48)
    longest = min(longest, MAX_BACKOFF_MS)
    if backoff.jitter == 0:
        return longest
    return int(random() * longest * backoff.jitter + longest * (1 - backoff.jitter))


def _whole(value: object) -> int:
    """A number that a producer wrote; 0 for anything that is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return 0
    return max(0, min(int(value), MAX_BACKOFF_MS))
