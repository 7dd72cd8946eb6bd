"""An ApiBudget's spec as a budget, and its use as people see it."""

from __future__ import annotations

from typing import Any

import pytest

from paperjobs.kube.apibudget import USED_EVERY_MS, api_budget, budget_status, worth_showing
from paperjobs.kube.paperqueue import WrongSpec
from paperjobs.model import Budget, BudgetUse

NOW = 1_795_459_512_345
HELD = BudgetUse(name="arxiv", used=2, held_until=NOW, held_by="institution-extraction-0123")


def body(status: dict[str, Any] | None = None, **limit: Any) -> dict[str, Any]:
    return {"metadata": {"name": "arxiv"}, "spec": {"limit": limit}, "status": status}


def test_the_limit_is_read_in_milliseconds() -> None:
    assert api_budget(body(max=1, per="3s")) == Budget(name="arxiv", max=1, per_ms=3_000)


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ({"max": 0, "per": "3s"}, r"spec\.limit\.max: Input should be greater"),
        ({"max": 1, "per": 3}, r"spec\.limit\.per: it must be a duration such as 500ms"),
        ({}, r"spec\.limit\.max: Field required; spec\.limit\.per"),
    ],
)
def test_a_wrong_limit_is_named_with_its_remedy(limit: dict[str, Any], sentence: str) -> None:
    with pytest.raises(WrongSpec, match=sentence):
        api_budget(body(**limit))


def test_a_hold_is_shown_with_its_end_and_the_run_that_was_asked_to_wait() -> None:
    assert budget_status(HELD) == {
        "used": 2,
        "heldUntil": "2026-11-23T18:45:12.345Z",
        "heldBy": "institution-extraction-0123",
    }


def test_a_hold_is_shown_at_once_and_taken_away_at_once_but_calls_are_counted_now_and_then() -> None:
    held, over = budget_status(HELD), budget_status(BudgetUse(name="arxiv", used=2))
    assert worth_showing(body(), held, 0)
    assert not worth_showing(body(held), held, USED_EVERY_MS)
    assert worth_showing(body(held), over, 0)
    more = budget_status(BudgetUse(name="arxiv", used=3))
    assert not worth_showing(body(over), more, USED_EVERY_MS - 1)
    assert worth_showing(body(over), more, USED_EVERY_MS)


def test_a_budget_that_nobody_used_yet_costs_no_write() -> None:
    assert not worth_showing(body(), budget_status(BudgetUse(name="arxiv")), USED_EVERY_MS)
