"""A job as Redis holds it, and its claims."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from paperjobs.model.naming import dns_slug
from paperjobs.model.settings import QueueSettings
from paperjobs_runner.contract import PAYLOAD_LIMIT, claim_digest, digest


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim of a job: BullMQ's claim counter (`ats`) and the lock token, which no other claim has."""

    number: int
    token: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """A claimed BullMQ job, as much of it as launching needs."""

    id: str
    name: str
    claim: Claim
    attempts_made: int
    data: str
    """The payload as the producer's JSON text; untrusted."""
    launched_before: bool = False
    """An earlier claim in this life of the job had a run, and so a PaperJob."""
    deferred_failure: str | None = None
    """Why this job must be failed instead of run (BullMQ: a failed child, too many stalls)."""

    @property
    def payload(self) -> str | None:
        """The payload when it may travel in the pod's environment; None when the runner must read it from the job: it
        is large, or no text that an environment variable can hold."""
        try:
            encoded = self.data.encode()
        except UnicodeEncodeError:
            return None
        return self.data if len(encoded) <= PAYLOAD_LIMIT and b"\0" not in encoded else None


@dataclass(frozen=True, kw_only=True)
class WindowFull:
    """No job was claimed: the window allows no start, or the queue is held, until `opens_at`."""

    opens_at: int


def run_name(settings: QueueSettings, job_id: str, claim: Claim) -> str:
    """The one name of a claim's run: the same on every replica and for every PaperQueue that serves the queue,
    different for every claim.

    The token is part of it because `ats` starts again from 1 when a job is removed and added under its old id, or
    retried with `resetAttemptsStarted`; a run of that earlier life must not be adopted.
    """
    told_apart = claim_digest(settings.prefix, settings.queue, job_id, claim.number, claim.token)
    return f"{dns_slug(settings.queue)}-{told_apart}"


def paperjob_name(settings: QueueSettings, job_id: str) -> str:
    """The name of the PaperJob that shows a job from Redis; one for all attempts."""
    return f"{dns_slug(settings.queue)}-{digest(settings.prefix, settings.queue, job_id)}"


class LockState(StrEnum):
    """Who holds the lock of an active job."""

    OURS = "ours"
    LOST = "lost"
    """Ours by the job's own record, but the lock key is gone."""
    FOREIGN = "foreign"
    """A BullMQ worker that is not PaperJobs claimed this job."""
    ABANDONED = "abandoned"
    """Claimed by a foreign worker whose lock is gone: it died, or stalls."""


@dataclass(frozen=True, kw_only=True)
class ActiveJob:
    """A job in BullMQ's active list."""

    id: str
    claim: Claim
    lock: LockState
    launched: bool
    """Its run was created: recorded beside the job after the Job object existed."""
    attempts_made: int
    progress: str | None = None
    """BullMQ progress as JSON text."""

    @property
    def ours(self) -> bool:
        """Claimed by PaperJobs, whoever of its replicas."""
        return self.lock in (LockState.OURS, LockState.LOST)


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Jobs of a queue by BullMQ state; `waiting` includes prioritized jobs."""

    waiting: int = 0
    delayed: int = 0
    active: int = 0
    completed: int = 0
    failed: int = 0
    waiting_children: int = 0


CANCELLED_PREFIX: Final = "cancelled: "
"""Starts the failedReason of every job that was cancelled."""


@dataclass(frozen=True, kw_only=True)
class CancelRequest:
    """Somebody wants a job cancelled; the request stays until the job has ended."""

    job_id: str
    message: str
    """The failedReason that the job gets."""


@dataclass(frozen=True, kw_only=True)
class BudgetUse:
    """How much of a budget is used, and whether its service asked to wait."""

    name: str
    used: int = 0
    """Calls in the interval that ends now."""
    held_until: int | None = None
    held_by: str = ""
    """The run that was asked to wait."""


@dataclass(frozen=True, kw_only=True)
class QueueState:
    """One consistent reading of a queue in Redis, made by one script."""

    now: int
    active: tuple[ActiveJob, ...] = ()
    counts: Counts = field(default_factory=Counts)
    paused: bool = False
    next_delayed_at: int | None = None
    window_used: int = 0
    """Starts reserved in the window that ends now."""
    window_opens_at: int | None = None
    """When the next start may be reserved; None when one may be now."""
    held_until: int | None = None
    """A 429's hold on this queue."""
    server: str = ""
    """Which life of which Redis server answered (its run id): another one may have lost the latest writes."""
    budgets: tuple[BudgetUse, ...] = ()
    """The budgets that the queue uses."""
    app_concurrency: int | None = None
    """A concurrency that the web app itself set on the queue (setGlobalConcurrency)."""
    cancels: tuple[CancelRequest, ...] = ()
