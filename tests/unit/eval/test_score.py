"""Precision and recall: what counts as right, wrong and missed."""

from __future__ import annotations

import pytest

from eval.score import Score, compare, total
from eval.truth import Truth

TRUTH = Truth(
    wanted={"institutions": frozenset({("mit",), ("eth zurich",)}), "tags": frozenset({("robotics",)})},
    possible={"tags": frozenset({("control-theory",)})},
)


def test_what_is_found_and_true_is_right_the_rest_is_wrong_or_missed() -> None:
    field = compare({"institutions": frozenset({("mit",), ("mars",)})}, TRUTH)["institutions"]
    assert field.score == Score(right=1, wrong=1, missed=1)
    assert field.wrong == {("mars",)}
    assert field.missed == {("eth zurich",)}
    assert (field.score.precision, field.score.recall) == (0.5, 0.5)


def test_what_is_possible_is_neither_right_nor_wrong() -> None:
    found = {"tags": frozenset({("robotics",), ("control-theory",)})}
    assert compare(found, TRUTH)["tags"].score == Score(right=1)


def test_a_field_of_which_nothing_was_found_is_missed_whole() -> None:
    field = compare({}, TRUTH)["institutions"].score
    assert field == Score(missed=2)
    assert (field.precision, field.recall) == (None, 0)


def test_a_field_without_truth_has_no_recall_and_what_is_found_is_wrong() -> None:
    field = compare({"e-mails": frozenset({("a writer", "a@b.example")})}, TRUTH)["e-mails"].score
    assert (field.precision, field.recall) == (0, None)
    assert compare({}, TRUTH)["e-mails"].score.f1 == 1


def test_papers_count_by_what_they_hold() -> None:
    large, small = Score(right=9, missed=1), Score(wrong=1, missed=1)
    both = total([large, small])
    assert both.recall == pytest.approx(9 / 11)
    assert both.precision == pytest.approx(9 / 10)
    assert both.f1 == pytest.approx(18 / 21)
