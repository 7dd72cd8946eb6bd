"""What a pipeline is given: its assignment, its surroundings, and the ways to tell how far it is."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from paperjobs_runner.contract import Assignment
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.jsonlog import RunLog
from paperjobs_runner.services.allowance import Allowances
from paperjobs_runner.services.progress import Progress
from paperjobs_runner.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """One run's surroundings."""

    assignment: Assignment
    payload: str = field(repr=False)
    """The job's data as JSON text; untrusted."""
    confirmed_at: datetime | None
    """When Redis said that this claim is the job's present one; None when it could not be asked."""
    settings: Settings
    deadline: Deadline
    budgets: Allowances
    progress: Progress
    log: RunLog
    folder: Path
    """An empty folder of the run's own; gone when it ends."""

    def step(self, percent: int, step: str) -> None:
        """Say what the run does now: to the log's `step` field and to the BullMQ job."""
        self.log.know({"step": step})
        self.progress.update(percent, step)

    def tell(self, line: str) -> None:
        """A sentence for people: a log line, and one in the BullMQ job."""
        _log.info(line)
        self.progress.log(line)
