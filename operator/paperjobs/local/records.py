"""The record of each local run on disk: what Kubernetes remembers of a Job, so that a restart knows it too."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from paperjobs.local.process import ProcessId
from paperjobs.model import Outcome, OutcomeKind, Run, RunPhase
from paperjobs.outcome import deadline_exceeded, outcome_of


class Ending(StrEnum):
    """Who ended a run."""

    EXITED = "exited"
    """It ended by itself, or was asked to: the exit code says which."""
    DEADLINE = "deadline"
    """It ran longer than its queue allows."""
    LOST = "lost"
    """Its session ended and took it along; there is no exit code."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run. `ending` is None until its process is gone. Times are Unix milliseconds."""

    name: str
    queue: str
    """Key of the QueueSettings it belongs to."""
    job_id: str
    claim: int
    attempt: int
    timeout_s: int
    created_at: int
    ended_at: int | None = None
    ending: Ending | None = None
    exit_code: int | None = None
    message: str = ""
    """The termination message as the run wrote it."""

    def outcome(self) -> Outcome | None:
        """What the run's end means; None while it is live."""
        match self.ending:
            case None:
                return None
            case Ending.LOST:
                message = "paperjobs local ended before this run did"
                return Outcome(kind=OutcomeKind.DISRUPTED, reason="Interrupted", message=message)
            case Ending.DEADLINE if self.exit_code != 0:
                return deadline_exceeded(self.timeout_s)
            case Ending.DEADLINE | Ending.EXITED:
                # A run that was done when its deadline came has stored its result: that is a success.
                return outcome_of(self.exit_code if self.exit_code is not None else 1, self.message)

    def as_run(self, *, terminating: bool) -> Run:
        """The run as the engine sees it."""
        if self.ending is not None:
            phase = RunPhase.ENDED
        else:
            phase = RunPhase.TERMINATING if terminating else RunPhase.RUNNING
        return Run(
            name=self.name,
            job_id=self.job_id,
            claim=self.claim,
            attempt=self.attempt,
            phase=phase,
            outcome=self.outcome(),
            created_at=self.created_at,
            started_at=self.created_at,
            ended_at=self.ended_at,
        )


@dataclass(frozen=True)
class RunRecords:
    """The records in one folder; every write is whole or not at all."""

    folder: Path

    def pid_file(self, name: str) -> Path:
        """Where the leash writes which process the run is."""
        return self.folder / f"{name}.pid"

    def message_file(self, name: str) -> Path:
        """Where the run writes its termination message."""
        return self.folder / f"{name}.out"

    def process(self, name: str) -> ProcessId | None:
        """The run's process; None when it never came to be."""
        return ProcessId.load(self.pid_file(name))

    def message(self, name: str) -> str:
        """The run's termination message, or "" when it wrote none."""
        try:
            return self.message_file(name).read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def save(self, record: RunRecord) -> None:
        """Write a record, in place of an older one of that name."""
        draft = self.folder / f"{record.name}.json.{os.getpid()}"
        draft.write_text(json.dumps(asdict(record)))
        draft.replace(self.folder / f"{record.name}.json")

    def delete(self, name: str) -> None:
        """Forget a run. The record goes last: without it the other files would never be looked at again."""
        for path in (self.pid_file(name), self.message_file(name), self.folder / f"{name}.json"):
            path.unlink(missing_ok=True)

    def load(self) -> Iterator[RunRecord]:
        """Every record of the folder."""
        for path in sorted(self.folder.glob("*.json")):
            fields = json.loads(path.read_text())
            ending = fields.pop("ending")
            yield RunRecord(**fields, ending=Ending(ending) if ending is not None else None)
