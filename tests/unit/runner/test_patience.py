"""How a run waits for a service: briefly itself, for longer by giving the job back."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import RateLimited, ServiceFailed, ServiceRefused
from paperjobs_runner.services.patience import retry_after_ms, with_patience


@dataclass
class Time:
    """A clock that only sleeping moves."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def deadline(self, seconds: float) -> Deadline:
        return Deadline(at=seconds, clock=lambda: self.now, sleep=self.sleep)


@dataclass
class Service:
    """Raises the given errors, one a call, then answers."""

    errors: list[Exception]
    calls: int = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def test_a_service_that_stumbles_twice_is_asked_three_times() -> None:
    time, service = Time(), Service([ServiceFailed(), ServiceFailed()])
    assert with_patience(service, deadline=time.deadline(600), chance=iter([0.0, 1.0]).__next__) == "answer"
    assert time.slept == [1, 3], "the second pause is longer by chance, at most by half"


def test_after_the_third_failure_the_run_gives_up() -> None:
    time, service = Time(), Service([ServiceFailed()] * 3)
    with pytest.raises(ServiceFailed):
        with_patience(service, deadline=time.deadline(600))
    assert service.calls == 3


def test_a_short_rate_limit_is_slept_and_a_long_one_ends_the_run_at_once() -> None:
    time = Time()
    assert with_patience(Service([RateLimited("", retry_after_ms=5000)]), deadline=time.deadline(600)) == "answer"
    assert time.slept == [5]
    long = Service([RateLimited("", retry_after_ms=11_000)])
    with pytest.raises(RateLimited):
        with_patience(long, deadline=time.deadline(600))
    assert long.calls == 1


def test_a_refusal_is_not_tried_again() -> None:
    service = Service([ServiceRefused()])
    with pytest.raises(ServiceRefused):
        with_patience(service, deadline=Time().deadline(600))
    assert service.calls == 1


def test_nothing_is_slept_that_the_deadline_does_not_allow() -> None:
    time = Time()
    with pytest.raises(ServiceFailed):
        with_patience(Service([ServiceFailed()]), deadline=time.deadline(10.5))
    assert time.slept == []


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("5", 5000),
        ("0.5", 500),
        ("-3", 0),
        ("nan", 7000),
        ("inf", 3_600_000),
        ("86400", 3_600_000),  # a day: capped
        ("Mon, 23 Nov 2026 18:00:20 GMT", 20_000),
        ("Mon, 23 Nov 2026 17:00:00 GMT", 0),  # in the past
        ("soon", 7000),
        ("", 7000),
        (None, 7000),
    ],
)
def test_retry_after_is_read_in_both_forms_and_capped(header: str | None, expected: int) -> None:
    now = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
    assert retry_after_ms(header, default_s=7, now=now) == expected


def test_a_date_that_no_calendar_has_counts_as_no_retry_after() -> None:
    assert retry_after_ms("Fri, 2147483648 Dec 9999 23:59:59 -1400", default_s=30) == 30_000
