"""Durations as people write them in manifests: 500ms, 60s, 1m, 1h30m."""

from __future__ import annotations

import re
from typing import Final

_WHOLE: Final = re.compile(r"(?:[0-9]+(?:ms|s|m|h))+")
_PART: Final = re.compile(r"([0-9]+)(ms|s|m|h)")
_MILLISECONDS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def parse_duration(text: str) -> int:
    """Milliseconds; raises ValueError with a remedy."""
    if not _WHOLE.fullmatch(text):
        raise ValueError("it must be a duration such as 500ms, 60s, 1m or 1h30m")
    return sum(int(number) * _MILLISECONDS[unit] for number, unit in _PART.findall(text))


def format_duration(milliseconds: int) -> str:
    """The shortest way to say it in one unit, seconds before minutes: 60s, 500ms, 5400s."""
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"
