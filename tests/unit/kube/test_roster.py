"""Which PaperQueues are served, and what the others say."""

from __future__ import annotations

from typing import Any

from paperjobs.kube.roster import call_the_roll
from paperjobs.model import Budget


def paperqueue(name: str, created: str = "2026-11-23T18:00:00Z", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "creationTimestamp": created},
        "spec": {"queue": "q", "pipeline": "p", **spec},
    }


OLDER = paperqueue("older", "2026-11-23T18:00:00Z", concurrency=1)
YOUNGER = paperqueue("a-younger", "2026-11-23T18:00:01Z", concurrency=9)


def test_of_two_for_one_queue_the_older_wins_in_whatever_order_they_are_seen() -> None:
    for queues in ([OLDER, YOUNGER], [YOUNGER, OLDER]):
        roster = call_the_roll(queues, (), "image")
        assert [settings.name for settings in roster.served] == ["older"]
        assert roster.refused["a-younger"].reason == "Conflict"
        assert "older is older" in roster.refused["a-younger"].message


def test_two_of_the_same_second_are_told_apart_the_same_way_by_every_replica() -> None:
    twins = [paperqueue("b"), paperqueue("a")]
    assert call_the_roll(twins, (), "i").served == call_the_roll(twins[::-1], (), "i").served


def test_the_same_queue_under_another_prefix_is_another_queue() -> None:
    roster = call_the_roll([OLDER, paperqueue("other", prefix="app")], (), "image")
    assert len(roster.served) == 2
    assert roster.refused == {}


def test_a_wrong_spec_is_refused_and_does_not_stand_in_the_way_of_a_younger_one() -> None:
    wrong = paperqueue("wrong", "2026-11-23T17:00:00Z", timeout="never")
    roster = call_the_roll([wrong, OLDER], (), "image")
    assert [settings.name for settings in roster.served] == ["older"]
    assert "spec.timeout" in roster.refused["wrong"].message


def apibudget(name: str, per: str = "3s") -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"limit": {"max": 2, "per": per}}}


def test_a_queue_whose_budget_does_not_exist_or_is_wrong_starts_nothing() -> None:
    careful = paperqueue("careful", budgets=["arxiv", "anthropic"])
    for budgets in ([apibudget("anthropic")], [apibudget("anthropic"), apibudget("arxiv", per="soon")]):
        refusal = call_the_roll([careful], budgets, "image").refused["careful"]
        assert (refusal.reason, "there is no ApiBudget arxiv;" in refusal.message) == ("BudgetMissing", True)


def test_a_queue_has_the_limits_of_its_budgets_as_they_are() -> None:
    [served] = call_the_roll([paperqueue("careful", budgets=["arxiv"])], [apibudget("arxiv")], "image").served
    assert served.budgets == (Budget(name="arxiv", max=2, per_ms=3_000),)
