"""Holds Claude's tags against the vocabulary. Pure.

What is wrong is a reason to ask once more (`complaint`); of an answer that is kept all the same only what is right
stays (`accepted`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from paperjobs_runner.pipelines.auto_tagging.answer import TagsAnswer
from paperjobs_runner.store.findings import FoundTag
from paperjobs_runner.textclean import one_line


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How many tags a paper may have, and how sure Claude must be of each (0 to 1)."""

    most: int
    min_confidence: float


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The tags to be stored, the surest first, and how many answered ones are not among them."""

    tags: tuple[FoundTag, ...]
    dropped: int


def complaint(answer: TagsAnswer, vocabulary: Collection[str], most: int) -> str | None:
    """What is wrong with the answer, for Claude; None when nothing is."""
    slugs = [answered.tag for answered in answer.tags]
    unknown = [one_line(slug)[:60] for slug in slugs if slug not in vocabulary]
    if unknown:
        return f"not in the vocabulary: {', '.join(unknown[:10])}; use its tags only, exactly as they are spelled there"
    if twice := sorted({slug for slug in slugs if slugs.count(slug) > 1}):
        return f"there more than once: {', '.join(twice[:10])}"
    if wrong := [answered.tag for answered in answer.tags if not 0 <= answered.confidence <= 1]:
        return f"confidence must be from 0 to 1: {', '.join(wrong[:10])}"
    if len(slugs) > most:
        return f"{len(slugs)} tags; at most {most} are wanted"
    return None


def accepted(answer: TagsAnswer, vocabulary: Collection[str], limits: Limits) -> Accepted:
    """The answer's tags that are in the vocabulary, with a confidence that is one and high enough, each once."""
    best: dict[str, float] = {}
    for answered in answer.tags:
        if answered.tag in vocabulary and limits.min_confidence <= answered.confidence <= 1:
            best.setdefault(answered.tag, round(answered.confidence, 3))
    surest = sorted(best.items(), key=lambda item: -item[1])[: limits.most]
    tags = tuple(FoundTag(slug=slug, confidence=confidence) for slug, confidence in surest)
    return Accepted(tags=tags, dropped=len(answer.tags) - len(tags))
