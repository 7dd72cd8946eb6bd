"""The API server's clock, as its answers tell it.

The age of an object is measured with the clock that stamped it. The `Date` of an answer has whole seconds, rounded
down, so this clock is up to a second late: an age is never overstated.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime


class ServerClock:
    """Runs on by itself between two answers."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._said = time.time() * 1000
        self._at = monotonic()

    def heard(self, date: str | None) -> None:
        """Take the `Date` of an answer that has just come; one that is missing or wrong says nothing."""
        if date is None:
            return
        try:
            self._said = parsedate_to_datetime(date).timestamp() * 1000
        except ValueError:
            return
        self._at = self._monotonic()

    def now(self) -> int:
        """Unix milliseconds; before the first answer, this machine's."""
        return round(self._said + (self._monotonic() - self._at) * 1000)
