"""The words of the design as frozen values: settings, jobs, claims, runs, outcomes, and what people are shown.

Times are Unix milliseconds of the Redis server's clock unless a name says otherwise: one clock decides every limit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from paperjobs_runner.contract import PAYLOAD_LIMIT

RELOCK_MARGIN_MS: Final = 120_000
"""How much longer than its run a claim's lock lives: image pulls are inside the deadline, pod deletion is not."""

LAUNCH_MARGIN_S: Final = 30
"""Grace that a run's own clean-up gets between its deadline and its pod's end (terminationGracePeriodSeconds)."""


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """The window: at most `max` starts in any interval of `per_ms` milliseconds."""

    max: int
    per_ms: int


class BackoffType(StrEnum):
    """BullMQ's built-in backoff strategies."""

    FIXED = "fixed"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """How long a failed job waits before its next attempt, in BullMQ's terms (`delay` in ms, `jitter` from 0 to 1)."""

    type: BackoffType
    delay_ms: int
    jitter: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RunnerTemplate:
    """What the infra team sets of the runner's pod. Mappings are plain Kubernetes JSON, passed on as they are."""

    image: str = "paperjobs-runner:latest"
    image_pull_policy: str | None = None
    service_account: str | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    env: tuple[Mapping[str, Any], ...] = ()
    env_from: tuple[Mapping[str, Any], ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    priority_class: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    image_pull_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class QueueSettings:
    """One queue as its `PaperQueue` sets it. `name` is the object's name (DNS-1123), `queue` BullMQ's."""

    name: str
    queue: str
    pipeline: str
    prefix: str = "bull"
    concurrency: int
    rate_limit: RateLimit | None = None
    budgets: tuple[str, ...] = ()
    attempts: int = 1
    """Attempts of a job whose producer set none."""
    backoff: Backoff | None = None
    timeout_s: int = 600
    """A run is killed this long after its Job was created (activeDeadlineSeconds)."""
    suspend: bool = False
    keep_completed: int = 100
    keep_failed: int = 200
    """PaperJobs kept after their end; older ones are deleted. BullMQ's own history follows removeOnComplete/Fail."""
    template: RunnerTemplate = field(default_factory=RunnerTemplate)

    @property
    def lock_ms(self) -> int:
        """How long a claim's lock lives: longer than any run, so that nothing needs to renew it."""
        return self.timeout_s * 1000 + RELOCK_MARGIN_MS


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
    deferred_failure: str | None = None
    """Why this job must be failed instead of run (BullMQ: a failed child, too many stalls)."""

    @property
    def payload(self) -> str | None:
        """The payload when it may travel in the pod's environment; None when the runner must read it from the job."""
        return self.data if len(self.data.encode("utf-8", "surrogatepass")) <= PAYLOAD_LIMIT else None


def run_name(settings: QueueSettings, job_id: str, claim: Claim) -> str:
    """The one name of a claim's run: the same on every replica, different for every claim.

    The token is part of it because `ats` starts again from 1 when a job is removed and added under its old id, or
    retried with `resetAttemptsStarted`; a run of that earlier life must not be adopted.
    """
    return f"{settings.name[:40]}-{_digest(settings.prefix, settings.queue, job_id, str(claim.number), claim.token)}"


def paperjob_name(settings: QueueSettings, job_id: str) -> str:
    """The name of the PaperJob that shows a job from Redis; one for all attempts."""
    return f"{settings.name[:40]}-{_digest(settings.prefix, settings.queue, job_id)}"


def _digest(*parts: str) -> str:
    joined = "\x00".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(joined).hexdigest()[:12]


# --- Redis ------------------------------------------------------------------------------------------------------


class LockState(StrEnum):
    """Who holds the lock of an active job."""

    OURS = "ours"
    LOST = "lost"
    """Ours by the job's own record, but the lock key is gone."""
    FOREIGN = "foreign"
    """A BullMQ worker that is not PaperJobs claimed this job."""


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


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Jobs of a queue by BullMQ state; `waiting` includes prioritized jobs."""

    waiting: int = 0
    delayed: int = 0
    active: int = 0
    completed: int = 0
    failed: int = 0
    waiting_children: int = 0


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
    app_concurrency: int | None = None
    """A concurrency that the web app itself set on the queue (setGlobalConcurrency)."""


# --- runs -------------------------------------------------------------------------------------------------------


class RunPhase(StrEnum):
    """Where a run stands. Every phase but ENDED holds a slot."""

    PENDING = "Pending"
    RUNNING = "Running"
    TERMINATING = "Terminating"
    ENDED = "Ended"


class OutcomeKind(StrEnum):
    """What a run's end means for its job."""

    COMPLETED = "completed"
    FAILED = "failed"
    """Counts as an attempt."""
    NEVER = "never"
    """Fails for good at once (BullMQ: UnrecoverableError)."""
    RATE_LIMITED = "rate-limited"
    """Returns to its queue; no attempt is lost; the queue is held."""
    DISRUPTED = "disrupted"
    """Returns to its queue; no attempt is lost."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended, in the words that reach BullMQ and the PaperJob."""

    kind: OutcomeKind
    reason: str
    """CamelCase, for people and metrics: Completed, OOMKilled, DeadlineExceeded, an error class …"""
    message: str = ""
    result: Mapping[str, Any] | None = None
    retry_after_ms: int | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as the cluster shows it: one Kubernetes Job with its pod, or one local process."""

    name: str
    job_id: str
    claim: int
    attempt: int
    phase: RunPhase
    outcome: Outcome | None = None
    """Set when the phase is ENDED."""
    created_at: int = 0
    started_at: int | None = None
    ended_at: int | None = None
    waiting_for: str = ""
    """Why a pending run does not start: ImagePullBackOff, Unschedulable …"""

    @property
    def live(self) -> bool:
        return self.phase is not RunPhase.ENDED


# --- what people look at ----------------------------------------------------------------------------------------


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
