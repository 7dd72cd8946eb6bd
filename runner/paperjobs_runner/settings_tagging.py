"""How many tags auto-tagging gives a paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from paperjobs_runner.settings_reader import Reader

MAX_TAGS: Final = 8
"""Tags of one paper; more say less."""
MAX_TAGS_RANGE: Final = (1, 50)
MIN_CONFIDENCE: Final = 0.3
"""Below that Claude is guessing."""


@dataclass(frozen=True, kw_only=True)
class TaggingSettings:
    """How many tags a paper may have, and how sure Claude must be of each (0 to 1)."""

    max_tags: int = MAX_TAGS
    min_confidence: float = MIN_CONFIDENCE


def read_tagging(reader: Reader) -> TaggingSettings:
    """PAPERJOBS_MAX_TAGS and PAPERJOBS_MIN_CONFIDENCE."""
    max_tags = reader.read("PAPERJOBS_MAX_TAGS", _max_tags)
    min_confidence = reader.read("PAPERJOBS_MIN_CONFIDENCE", _confidence)
    return TaggingSettings(
        max_tags=MAX_TAGS if max_tags is None else max_tags,
        min_confidence=MIN_CONFIDENCE if min_confidence is None else min_confidence,
    )


def _max_tags(value: str) -> int:
    low, high = MAX_TAGS_RANGE
    if not value.isdecimal() or not low <= int(value) <= high:
        raise ValueError(f"expected a number from {low} to {high}, got {value[:20]!r}")
    return int(value)


def _confidence(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ValueError(f"expected a number from 0 to 1, got {value[:20]!r}")
    return number
