"""How long to wait after failures in a row."""

from __future__ import annotations

from typing import Final

FIRST_BACKOFF_S: Final = 0.5
LAST_BACKOFF_S: Final = 10.0
"""Pauses after failures, doubling from the first to the last."""


def backoff_s(failures: int) -> float:
    """The pause after so many failures in a row, at least one."""
    return min(LAST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(failures - 1, 10))
