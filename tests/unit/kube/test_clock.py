"""The API server's clock, from what its answers say."""

from __future__ import annotations

import time

from paperjobs.kube.clock import ServerClock

SAID = "Tue, 24 Nov 2026 11:00:00 GMT"
SAID_MS = 1_795_518_000_000


def test_the_clock_runs_on_from_the_last_answer_whatever_this_machine_s_clock_says() -> None:
    seconds = 50.0
    clock = ServerClock(monotonic=lambda: seconds)
    clock.heard(SAID)
    assert clock.now() == SAID_MS
    seconds = 52.5
    assert clock.now() == SAID_MS + 2500


def test_an_answer_without_a_readable_date_changes_nothing() -> None:
    clock = ServerClock(monotonic=lambda: 0.0)
    clock.heard(SAID)
    clock.heard(None)
    clock.heard("now")
    assert clock.now() == SAID_MS


def test_before_the_first_answer_it_is_this_machine_s() -> None:
    assert abs(ServerClock().now() - time.time() * 1000) < 1000
