"""When a task that Asana could not be told of is tried again. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from paperjobs_runner.errors import RateLimited, RunnerError, ServiceRefused

FIRST_PAUSE: Final = timedelta(minutes=1)
LONGEST_PAUSE: Final = timedelta(hours=1)
"""Asana's longer failures are over within hours; an hour late is early enough for a task list."""
REFUSED_PAUSE: Final = timedelta(hours=6)
"""A refusal needs a person. Whoever mends it need not wait: `paperjobs-runner asana sync --all`."""
NO_TIME: Final = "no time was left to tell Asana; it is done later"
"""Why a task is pending that a run had no time for."""


def pause_after(error: RunnerError, failures: int) -> timedelta:
    """How long to leave the task alone after this error, which is the `failures`-th in a row."""
    if isinstance(error, ServiceRefused):
        return REFUSED_PAUSE
    if isinstance(error, RateLimited):
        return max(FIRST_PAUSE, timedelta(milliseconds=error.retry_after_ms))
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(failures - 1, 10)))
