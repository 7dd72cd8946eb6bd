"""What a local session knows of its work at any moment, for the table, and what happens, as one line each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from paperjobs.local.statedir import StateDir
from paperjobs.model import CancelRequest, Job, Outcome, OutcomeKind, QueueSettings, QueueStatus, Run

LAST_LINES: Final = 3
"""Lines of a run's output that are shown when it fails without a word."""

LONGEST_LINE: Final = 160
"""Characters of such a line."""


@dataclass(frozen=True, kw_only=True)
class LiveRun:
    """A run that has started and not been settled."""

    queue: str
    job_id: str
    paper: str
    attempt: int


class Board:
    """An EngineObserver that remembers the latest status of each queue, and says what happens through `say`."""

    def __init__(self, state: StateDir, say: Callable[[str], None]) -> None:
        self._state = state
        self._say = say
        self.statuses: dict[str, tuple[QueueSettings, QueueStatus]] = {}
        self.live: dict[str, LiveRun] = {}
        """By the run's name."""
        self.progress: dict[tuple[str, str], str] = {}
        """What the PROGRESS column shows, by queue name and job id."""
        self.completed = 0
        self.failed = 0
        self._failing: set[str] = set()

    def ticked(self, queue: QueueSettings, status: QueueStatus, seconds: float) -> None:
        """Remember the status; say when a hold begins, since the table has no room for whose it is."""
        _, before = self.statuses.get(queue.name, (queue, None))
        if status.reason == "Held" and (before is None or before.message != status.message):
            self._say(f"{queue.queue}: nothing starts for now: {status.message}")
        self.statuses[queue.name] = (queue, status)
        self._failing.discard(queue.name)

    def tick_failed(self, queue: QueueSettings, error: Exception) -> None:
        """Say it once, until the queue works again."""
        if queue.name not in self._failing:
            self._failing.add(queue.name)
            causes = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
            self._say(f"{queue.queue}: nothing is started until this is mended: {'; '.join(map(str, causes))}")

    def launched(self, queue: QueueSettings, job: Job, run: str) -> None:
        """Say what starts."""
        live = LiveRun(queue=queue.name, job_id=job.id, paper=_paper(job), attempt=job.attempts_made + 1)
        self.live[run] = live
        again = f", attempt {live.attempt}" if live.attempt > 1 else ""
        self._say(f"{queue.queue}: job {job.id} started ({live.paper}{again})")

    def settled(self, queue: QueueSettings, run: Run, outcome: Outcome) -> None:
        """Say how it ended."""
        live = self.live.pop(run.name, None)
        self.progress.pop((queue.name, run.job_id), None)
        self.completed += outcome.kind is OutcomeKind.COMPLETED
        self.failed += outcome.kind in (OutcomeKind.FAILED, OutcomeKind.NEVER)
        of_paper = f" ({live.paper})" if live is not None else ""
        self._say(f"{queue.queue}: job {run.job_id}{of_paper} {_ending(run, outcome)}")
        if outcome.reason == "Crashed":
            for line in self._last_lines(run.name):
                self._say(f"    {line}")

    def cancelled(self, queue: QueueSettings, request: CancelRequest, run: str | None) -> None:
        """Say it; a run of the job is gone."""
        if run is not None:
            self.live.pop(run, None)
        self.progress.pop((queue.name, request.job_id), None)
        self.failed += 1
        self._say(f"{queue.queue}: job {request.job_id} {request.message}")

    def _last_lines(self, run: str) -> list[str]:
        try:
            lines = self._state.log(run).read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        return [line[:LONGEST_LINE] for line in lines[-LAST_LINES:]]


def _ending(run: Run, outcome: Outcome) -> str:
    match outcome.kind:
        case OutcomeKind.COMPLETED:
            seconds = ((run.ended_at or 0) - (run.started_at or run.ended_at or 0)) / 1000
            return f"completed in {seconds:.1f} s"
        case OutcomeKind.FAILED:
            return f"failed in attempt {run.attempt}: {outcome.reason}: {outcome.message}"
        case OutcomeKind.NEVER:
            return f"failed for good: {outcome.reason}: {outcome.message}"
        case OutcomeKind.RATE_LIMITED:
            return f"returned to its queue, which is held: {outcome.message}"
        case OutcomeKind.DISRUPTED | OutcomeKind.NEVER_RAN:
            return f"returned to its queue, no attempt lost: {outcome.message}"


def _paper(job: Job) -> str:
    """The paper's id as people know it; the payload is untrusted, so anything may stand there."""
    try:
        data = json.loads(job.data)
    except (ValueError, RecursionError):
        return "no paper"
    paper = data.get("paperId") if isinstance(data, Mapping) else None
    text = str(paper) if isinstance(paper, (str, int)) else "no paper"
    return "".join(char if char.isprintable() else "?" for char in text)[:60]
