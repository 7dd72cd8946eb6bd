"""When a job scheduler's next iteration is due: cron patterns as npm bullmq reads them.

The Python package's own reading is an hour off whenever the clocks change before the next iteration, and knows no `5L`
(the last Friday of a month). As with npm, a fixed hour is one of the wall clock, and comes once on the day on which the
clocks are set back; what is due in every hour is due in the repeated one too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from bullmq.job_scheduler import default_repeat_strategy
from croniter import croniter

LAST_WEEKDAY: Final = re.compile(r"\b([0-7])L\b")
"""In npm's patterns; croniter wants the letter first."""

EVERY_HOUR: Final = re.compile(r"@hourly|\S+( \S+)? \* \* \* \*")
"""Patterns that name minutes and seconds only."""


def next_due(millis: int, repeat: Mapping[str, Any]) -> int | None:
    """The first instant after `millis` (Unix ms) at which a scheduler is due; None without a pattern.

    `repeat` are BullMQ's repeat options. Raises whatever a pattern, date or time zone that makes no sense leads to.
    """
    pattern = repeat.get("pattern")
    if not pattern or repeat.get("immediately") or repeat.get("startDate"):
        due: int | None = default_repeat_strategy(millis, repeat)
        return due
    zone: tzinfo = ZoneInfo(repeat["tz"]) if repeat.get("tz") else UTC
    base = datetime.fromtimestamp(millis / 1000, zone)
    wall = croniter(LAST_WEEKDAY.sub(r"L\1", pattern), base.replace(tzinfo=None), second_at_beginning=True)
    due_on_wall: datetime = wall.get_next(datetime)
    offset = base.utcoffset()
    if EVERY_HOUR.fullmatch(pattern) and offset is not None:
        return _millis((due_on_wall - offset).replace(tzinfo=UTC))
    once = _millis(due_on_wall.replace(tzinfo=zone))
    # In the hour that is repeated the wall clock does not tell which of the two it is.
    return once if once > millis else _millis(due_on_wall.replace(tzinfo=zone, fold=1))


def _millis(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)
