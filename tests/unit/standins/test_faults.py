"""Which fault strikes which request."""

from __future__ import annotations

import pytest

from paperjobs_standins.exchange import Request
from paperjobs_standins.faults import Fault, FaultError, FaultKind, FaultPlan


def request(target: str = "/token", method: str = "POST") -> Request:
    return Request(
        method=method, target=target, path=target, query={}, headers={}, body=b"", base_url="http://127.0.0.1:1"
    )


def planned(*faults: Fault) -> FaultPlan:
    plan = FaultPlan()
    for fault in faults:
        plan.add(fault)
    return plan


def test_a_fault_strikes_as_often_as_it_was_told() -> None:
    plan = planned(Fault(kind=FaultKind.RESET, times=2))
    assert [plan.take(request()) is not None for _ in range(4)] == [True, True, False, False]


def test_a_fault_without_number_strikes_until_cleared() -> None:
    plan = planned(Fault(kind=FaultKind.RESET, times=None))
    assert all(plan.take(request()) for _ in range(50))
    plan.clear()
    assert plan.take(request()) is None


def test_a_fault_waits_for_a_request_with_its_path_and_method() -> None:
    plan = planned(Fault(kind=FaultKind.HANG, path="/status", method="get"))
    assert plan.take(request("/token")) is None
    assert plan.take(request("/job/1/status", "POST")) is None
    assert plan.take(request("/job/1/status", "GET")) is not None


def test_faults_strike_in_the_order_in_which_they_were_planned() -> None:
    plan = planned(Fault(kind=FaultKind.STATUS, status=429), Fault(kind=FaultKind.STATUS, status=500))
    struck = [plan.take(request()), plan.take(request())]
    assert [one.status for one in struck if one] == [429, 500]


@pytest.mark.parametrize(
    ("described", "complaint"),
    [
        ({"kind": "explode"}, "give one of status"),
        ({"kind": "reset", "tmies": 2}, "unknown fields: tmies"),
        ({"kind": "status", "status": 200}, "an HTTP error"),
        ({"kind": "status", "times": 0}, "1 or more"),
        ({"kind": "slow", "seconds": -1}, "0 or more"),
        ({"kind": "reply"}, "a reply needs one"),
    ],
)
def test_a_wrong_description_is_refused_by_name(described: dict[str, object], complaint: str) -> None:
    with pytest.raises(FaultError, match=complaint):
        Fault.from_json(described)
