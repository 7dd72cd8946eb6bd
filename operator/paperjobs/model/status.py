"""What people look at: the statuses of PaperJobs and PaperQueues, before they become Kubernetes objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from paperjobs.model.job import Counts
from paperjobs.model.settings import Backoff, RateLimit


class JobPhase(StrEnum):
    """A PaperJob's phase."""

    WAITING = "Waiting"
    DELAYED = "Delayed"
    PENDING = "Pending"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"

    @property
    def final(self) -> bool:
        return self in (JobPhase.COMPLETED, JobPhase.FAILED)


@dataclass(frozen=True, kw_only=True)
class EnqueueOptions:
    """What a person set of a job made with kubectl, in BullMQ's terms; the defaults leave it to the queue."""

    not_before: int | None = None
    """It must not start earlier (ms)."""
    priority: int = 0
    """1 comes first; 0 is none at all, and comes before 1."""
    attempts: int = 0
    backoff: Backoff | None = None


@dataclass(frozen=True, kw_only=True)
class JobState:
    """A job's state in Redis, for reporting. `phase` is None when Redis does not know the job (any more)."""

    phase: JobPhase | None
    attempts_made: int = 0
    progress: str | None = None
    failed_reason: str = ""
    returnvalue: str | None = None
    finished_at: int | None = None
    not_before: int | None = None


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """A PaperJob's status as it should be."""

    phase: JobPhase
    job_id: str
    attempt: int | None = None
    progress: str | None = None
    """What the PROGRESS column shows: "40%", a step's name, or JSON text."""
    reason: str = ""
    message: str = ""
    run: str | None = None
    started_at: int | None = None
    finished_at: int | None = None
    not_before: int | None = None
    result: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class PaperJobView:
    """A PaperJob object as the engine sees it, whoever made it."""

    name: str
    job_id: str
    made_by_hand: bool
    """Made with kubectl: the engine enqueues it. Otherwise it shows a job that came from Redis."""
    status: JobStatus | None = None
    job_name: str = "paper"
    data: str = "{}"
    """The BullMQ job name and the payload (JSON text) to enqueue; only when made by hand."""
    options: EnqueueOptions = EnqueueOptions()
    """How to enqueue it; only when made by hand."""
    finished_at: int | None = None


@dataclass(frozen=True, kw_only=True)
class QueueStatus:
    """A PaperQueue's status as it should be."""

    counts: Counts
    live: int
    """Runs that hold a slot."""
    concurrency: int
    window_used: int
    rate_limit: RateLimit | None
    next_start_at: int | None = None
    reason: str = ""
    """Why nothing starts: Paused, Suspended, ConcurrencyFull, WindowFull, Held, Idle …; empty while work flows."""
    message: str = ""
    foreign: int = 0
    """Active jobs held by BullMQ workers that are not PaperJobs."""
    refused: bool = False
    """The cluster refuses this queue's runs; `reason` and `message` say why."""
