"""Waiting PaperJobs say why and until when, and cost few writes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paperjobs.engine.waiting import AT_ONCE, EVERY_S, FAR_OFF_MS, News, Tellings, out_of_date, still_waits
from paperjobs.model import JobPhase, JobStatus, PaperJobView

NOW = 1_000_000
TOLD = JobStatus(phase=JobPhase.WAITING, job_id="7", reason="WindowFull", not_before=NOW + 5_000)


def _news(number: int) -> News:
    return PaperJobView(name=f"pj-{number}", job_id=str(number), made_by_hand=True, status=TOLD), TOLD


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (TOLD, False),
        (replace(TOLD, message="9 starts used"), False),
        (replace(TOLD, reason="Held"), True),
        (replace(TOLD, not_before=None), True),
        # Nearly the same time: not worth a write.
        (replace(TOLD, not_before=NOW + 5_000 + FAR_OFF_MS - 1), False),
        (replace(TOLD, not_before=NOW + 5_000 + FAR_OFF_MS), True),
    ],
)
def test_another_reason_or_a_time_far_off_is_out_of_date(new: JobStatus, expected: bool) -> None:
    assert out_of_date(TOLD, new, NOW) is expected


def test_a_time_that_has_passed_is_out_of_date_when_another_is_known() -> None:
    later = replace(TOLD, not_before=NOW + 6_000)
    assert not out_of_date(TOLD, later, NOW + 4_999)
    assert out_of_date(TOLD, later, NOW + 5_000)


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (replace(TOLD, reason="Held"), True),
        (replace(TOLD, phase=JobPhase.RUNNING), False),
        (replace(TOLD, attempt=1), False),
        (replace(TOLD, run="papers-1"), False),
    ],
)
def test_what_happens_to_the_job_itself_is_no_matter_of_waiting(new: JobStatus, expected: bool) -> None:
    assert still_waits(TOLD, new) is expected
    assert not still_waits(None, new)


def test_one_paperjob_is_told_at_most_every_ten_seconds() -> None:
    tellings, one = Tellings(), [_news(1)]
    assert tellings.choose(one, 100.0) == one
    assert tellings.choose(one, 100.0 + EVERY_S - 0.1) == []
    assert tellings.choose(one, 100.0 + EVERY_S) == one


def test_of_many_the_twenty_that_were_told_longest_ago_are_told_first() -> None:
    tellings, many = Tellings(), [_news(number) for number in range(3 * AT_ONCE)]
    told = [name for turn in range(3) for name in tellings.choose(many, 100.0 + turn * EVERY_S)]
    assert told == many
    assert tellings.choose(many, 100.0 + 2 * EVERY_S + 1) == []
    assert tellings.choose(many, 100.0 + 3 * EVERY_S) == many[:AT_ONCE]


def test_paperjobs_that_are_gone_are_forgotten() -> None:
    tellings, one = Tellings(), [_news(1)]
    tellings.choose(one, 100.0)
    tellings.keep([])
    assert tellings.choose(one, 101.0) == one
