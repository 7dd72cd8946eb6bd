"""The engine under thousands of schedules: `make model SCHEDULES=50000` runs more of them, other ones each time."""

from __future__ import annotations

import os
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from model.machine import Schedule

SCHEDULES: Final = os.environ.get("PAPERJOBS_SCHEDULES")
"""How many; when it is not set, the same ones every time."""

STEPS: Final = 30
"""Steps of one schedule at most; a step may be a dozen requests, or minutes."""


@pytest.mark.timeout(0 if SCHEDULES else 300)
def test_every_promise_holds_under_any_schedule() -> None:
    run_state_machine_as_test(
        Schedule,
        settings=settings(
            max_examples=int(SCHEDULES or 2_000),
            stateful_step_count=STEPS,
            derandomize=SCHEDULES is None,
            suppress_health_check=list(HealthCheck),
        ),
    )
