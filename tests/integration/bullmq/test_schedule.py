"""Cron patterns are due when npm's workers of both versions say so, also around the nights when clocks change."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from paperjobs.bullmq.schedule import next_due
from support.webapp import WebApp

PATTERNS = [
    "* * * * *",
    "*/30 * * * * *",
    "*/20 * * * *",
    "0 * * * *",
    "@hourly",
    "0 */2 * * *",
    "45 0,1,2,3 * * *",
    "0 0 * * *",
    "30 1 * * *",
    "0 2 * * *",
    "30 2 * * *",
    "0 3 * * *",
    "15 2 * * 0",
    "0 9 * * MON-FRI",
    "0 0 ? * 7",
    "0 0 L * *",
    "0 0 * * 5L",
    "0 0 * * 1#2",
    "0 9 1 JAN *",
    "0 0 29 2 *",
    "@daily",
    "@weekly",
    "@monthly",
    "@yearly",
]

NIGHTS = {
    "Europe/Rome": ("2025-03-30T02:00", "2025-10-26T02:00"),
    "America/New_York": ("2025-03-09T02:00", "2025-11-02T01:00"),
    "Asia/Kolkata": ("2025-06-15T12:00",),  # whose clocks never change
}
"""When clocks change, by the wall clock before."""

AROUND_S = [-90_000, -7_200, -5_400, -3_600, -1_900, -900, -1, 0, 1, 900, 1_800, 3_599, 3_600, 5_400, 86_400 * 40]


@pytest.mark.parametrize("tz", NIGHTS)
async def test_patterns_are_due_when_npms_workers_say(any_web: WebApp, tz: str) -> None:
    changes = [datetime.fromisoformat(night).replace(tzinfo=ZoneInfo(tz)).timestamp() for night in NIGHTS[tz]]
    rows: list[dict[str, Any]] = [
        {"pattern": pattern, "tz": tz, "after": int(change + around) * 1000}
        for pattern in PATTERNS
        for change in changes
        for around in AROUND_S
    ]

    theirs = await any_web.ask("dueTimes", rows=rows)

    ours = [next_due(row["after"], row) for row in rows]
    different = [(row, our, their) for row, our, their in zip(rows, ours, theirs, strict=True) if our != their]
    assert not different, different[:5]
