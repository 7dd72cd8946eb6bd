"""Percentiles of a handful of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that so many percent of all do not exceed (nearest rank: always a value that was seen)."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def summary(samples: Sequence[float]) -> dict[str, float]:
    """What a reader of the JSON wants to know of the samples."""
    marks = {"p50": 50.0, "p95": 95.0, "max": 100.0}
    return {"count": len(samples), **{name: round(percentile(samples, mark), 4) for name, mark in marks.items()}}
