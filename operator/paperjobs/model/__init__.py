"""The words of the design as frozen values: settings, jobs, claims, runs, outcomes, and what people are shown.

Times are Unix milliseconds of the Redis server's clock unless a name says otherwise: one clock decides every limit.
"""

from __future__ import annotations

from paperjobs.model.job import (
    CANCELLED_PREFIX,
    ActiveJob,
    BudgetUse,
    CancelRequest,
    Claim,
    Counts,
    Job,
    LockState,
    QueueState,
    WindowFull,
    paperjob_name,
    run_name,
)
from paperjobs.model.run import HELD_BACK, POD_REFUSED, Outcome, OutcomeKind, Run, RunPhase, TimeLimits
from paperjobs.model.settings import (
    LAST_RESORT_S,
    RELOCK_MARGIN_MS,
    TERMINATION_GRACE_S,
    Backoff,
    BackoffType,
    QueueSettings,
    RateLimit,
    RunnerTemplate,
)
from paperjobs.model.status import EnqueueOptions, JobPhase, JobState, JobStatus, PaperJobView, QueueStatus
from paperjobs_runner.contract import Budget

__all__ = [
    "CANCELLED_PREFIX",
    "HELD_BACK",
    "LAST_RESORT_S",
    "POD_REFUSED",
    "RELOCK_MARGIN_MS",
    "TERMINATION_GRACE_S",
    "ActiveJob",
    "Backoff",
    "BackoffType",
    "Budget",
    "BudgetUse",
    "CancelRequest",
    "Claim",
    "Counts",
    "EnqueueOptions",
    "Job",
    "JobPhase",
    "JobState",
    "JobStatus",
    "LockState",
    "Outcome",
    "OutcomeKind",
    "PaperJobView",
    "QueueSettings",
    "QueueState",
    "QueueStatus",
    "RateLimit",
    "Run",
    "RunPhase",
    "RunnerTemplate",
    "TimeLimits",
    "WindowFull",
    "paperjob_name",
    "run_name",
]
