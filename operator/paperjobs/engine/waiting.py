"""Telling why a job waits, and until when, with few writes.

The reason is the whole queue's and may change with every start, while thousands of PaperJobs may wait. So it is told
again when it is another, or the time that was told is past or far off: for one PaperJob at most every ten seconds, for
twenty of a queue in that time, those that were told longest ago first. Two writes a second cost the API server a
hundredth of its time. What a PaperJob goes through itself (its run, its attempts, its end) is not told here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from paperjobs.model import JobPhase, JobStatus, PaperJobView

EVERY_S: Final = 10.0
"""Between two tellings of why one PaperJob waits, and the time in which `AT_ONCE` are told."""

AT_ONCE: Final = 20
"""PaperJobs told again in `EVERY_S`; and new ones told first in one tick, so that many do not stall their queue."""

FAR_OFF_MS: Final = 10_000
"""A told time is right enough when it is this close."""

News = tuple[PaperJobView, JobStatus]
"""A PaperJob and the status that it should have."""


def still_waits(old: JobStatus | None, new: JobStatus) -> bool:
    """Whether nothing has happened to the job itself: it waits, as it did."""
    return old is not None and (old.phase, old.attempt, old.run) == (JobPhase.WAITING, new.attempt, new.run) == (
        new.phase,
        new.attempt,
        new.run,
    )


def out_of_date(old: JobStatus, new: JobStatus, now: int) -> bool:
    """Whether what a waiting PaperJob says is wrong; `now` in ms."""
    if old.reason != new.reason or (old.not_before is None) != (new.not_before is None):
        return True
    if old.not_before is None or new.not_before is None:
        return False
    return old.not_before != new.not_before and (
        old.not_before <= now or abs(new.not_before - old.not_before) >= FAR_OFF_MS
    )


@dataclass
class Tellings:
    """What was told again, and when; times in seconds."""

    _told: dict[str, float] = field(default_factory=dict)
    _recent: deque[float] = field(default_factory=deque)

    def choose(self, waiting: Sequence[News], now_s: float) -> list[News]:
        """Those out-of-date PaperJobs that may be told now; they count as told."""
        while self._recent and now_s - self._recent[0] >= EVERY_S:
            self._recent.popleft()
        due = [news for news in waiting if now_s - self._told.get(news[0].name, now_s - EVERY_S) >= EVERY_S]
        due.sort(key=lambda news: self._told.get(news[0].name, 0.0))
        chosen = due[: AT_ONCE - len(self._recent)]
        for view, _ in chosen:
            self._told[view.name] = now_s
            self._recent.append(now_s)
        return chosen

    def keep(self, names: Sequence[str]) -> None:
        """Forget all PaperJobs but these."""
        self._told = {name: self._told[name] for name in names if name in self._told}
