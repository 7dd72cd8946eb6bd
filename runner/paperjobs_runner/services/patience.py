"""How a run behaves towards a service that stumbles: a few short retries within the run, everything longer outside it.

A pod that sleeps holds a slot. So short pauses are slept here, and a service that asks for more ends the run as
rate-limited: the job returns to its queue, and the queue is held.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isnan
from typing import Final, TypeVar

from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import RETRY_AFTER_CAP_MS, BudgetSpent, RateLimited, ServiceFailed
from paperjobs_runner.services.allowance import LONGEST_WAIT_S, UNLIMITED, Allowance

TRIES: Final = 3
"""Calls in all. Most short faults (a dropped connection, one overloaded server) are gone by the second."""

LONGEST_PAUSE_S: Final = 10.0
"""Seconds a run will sleep for a service; a longer wait is the queue's business."""

JITTER: Final = 0.5
"""A pause of our own choice is longer by up to this part: runs that failed together do not come back together."""

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


def with_patience(
    call: Callable[[], _T],
    *,
    deadline: Deadline,
    allowance: Allowance = UNLIMITED,
    tries: int = TRIES,
    first_pause_s: float = 1.0,
    chance: Callable[[], float] = random.random,
) -> _T:
    """Call, and call again after ServiceFailed (1 s, 2 s …, longer by chance) or a short RateLimited; others pass.

    `call` draws on `allowance`. A service that asks to wait holds it, for everyone; the next `draw` waits for that too.
    """
    for attempt in range(1, tries + 1):
        try:
            return call()
        except BudgetSpent:
            raise
        except (ServiceFailed, RateLimited) as error:
            pause = first_pause_s * 2 ** (attempt - 1) * (1 + JITTER * chance())
            longest, held = LONGEST_PAUSE_S, False
            if isinstance(error, RateLimited):
                pause, held = error.retry_after_ms / 1000, allowance.hold(error)
                longest = LONGEST_WAIT_S if held else LONGEST_PAUSE_S
            if attempt == tries or pause > longest or not deadline.allows(pause):
                raise
            _log.warning("%s; trying again in %.1f s", error.message, pause)
            if not held:
                deadline.sleep(pause)
    raise AssertionError("unreachable: the last try returns or raises")


def retry_after_ms(header: str | None, *, default_s: float, now: datetime | None = None) -> int:
    """Milliseconds that a Retry-After header (seconds or an HTTP date) asks for, capped; else the default."""
    seconds = default_s
    text = (header or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):  # no date, or one that no calendar has
            pass
        else:
            date = date if date.tzinfo else date.replace(tzinfo=UTC)
            seconds = (date - (now or datetime.now(UTC))).total_seconds()
    if isnan(seconds):
        seconds = default_s
    return int(min(max(seconds, 0.0) * 1000, RETRY_AFTER_CAP_MS))
