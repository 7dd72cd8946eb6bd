"""Precision and recall. Pure.

Micro averages: items of all papers are put together before dividing, so that a paper counts by what it holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from eval.answers import FIELDS, Answers, Item
from eval.truth import Truth


@dataclass(frozen=True, kw_only=True)
class Score:
    """Of one field: what was right, what was found and is wrong, what was not found."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(right=self.right + other.right, wrong=self.wrong + other.wrong, missed=self.missed + other.missed)

    @property
    def precision(self) -> float | None:
        """Right of all that was found; None when nothing was found."""
        found = self.right + self.wrong
        return self.right / found if found else None

    @property
    def recall(self) -> float | None:
        """Right of all that is true; None when there is nothing to find."""
        true = self.right + self.missed
        return self.right / true if true else None

    @property
    def f1(self) -> float:
        """1 when there is nothing to find and nothing was found."""
        every = 2 * self.right + self.wrong + self.missed
        return 2 * self.right / every if every else 1.0


@dataclass(frozen=True, kw_only=True)
class FieldScore:
    """A score with the items that are not right."""

    score: Score
    wrong: frozenset[Item]
    missed: frozenset[Item]


def compare(found: Answers, truth: Truth) -> dict[str, FieldScore]:
    """Every field of one paper."""
    return {field: _field(field, found, truth) for field in FIELDS}


def total(scores: Iterable[Score]) -> Score:
    """Their micro average."""
    return sum(scores, start=Score())


def _field(field: str, found: Answers, truth: Truth) -> FieldScore:
    items, wanted = found.get(field, frozenset()), truth.wanted.get(field, frozenset())
    wrong = items - wanted - truth.possible.get(field, frozenset())
    missed = wanted - items
    score = Score(right=len(items & wanted), wrong=len(wrong), missed=len(missed))
    return FieldScore(score=score, wrong=wrong, missed=missed)
