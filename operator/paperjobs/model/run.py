"""A run as the cluster shows it, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


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
    NEVER_RAN = "never-ran"
    """Returns to its queue as if it had not been claimed: unlike a disruption it may come back any number of times."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended, in the words that reach BullMQ and the PaperJob."""

    kind: OutcomeKind
    reason: str
    """CamelCase, for people and metrics: Completed, OOMKilled, DeadlineExceeded, an error class …"""
    message: str = ""
    result: Mapping[str, Any] | None = None
    retry_after_ms: int | None = None
    """With RATE_LIMITED: how long the queue is held. With DISRUPTED: how long the job stays away from the front."""
    budget: str | None = None
    """With RATE_LIMITED: the budget that is to be held instead of the queue."""
    budget_held: bool = False
    """The run has held it itself."""


@dataclass(frozen=True, kw_only=True)
class TimeLimits:
    """How long a run may take, in seconds. Set when it is launched: edits of its queue touch no run that exists."""

    start_s: int
    """From its creation until its pod runs."""
    fault_s: int
    """How long a fault may keep its pod from starting: an image that cannot be pulled, a Secret that is missing."""
    run_s: int
    """From its pod's start to its end."""


POD_REFUSED: Final = "FailedCreate"
"""What a run waits for whose Job was accepted and whose pod was not: a quota or policy on pods."""

HELD_BACK: Final = "Suspended"
"""What a run waits for whose Job somebody suspended (Kueue, or by hand): no time limit counts meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as the cluster shows it: one Kubernetes Job with its pod, or one local process."""

    name: str
    job_id: str
    claim: int
    token: str = ""
    """The claim's lock token, under which its start is counted."""
    attempt: int
    phase: RunPhase
    outcome: Outcome | None = None
    """Set when the phase is ENDED."""
    created_at: int = 0
    """This and the other times are on the cluster's clock (`Cluster.now`)."""
    started_at: int | None = None
    ended_at: int | None = None
    waiting_for: str = ""
    """Why a pending run does not start: ImagePullBackOff, Unschedulable …"""
    waiting_message: str = ""
    """The same in the cluster's own words."""
    faulty_since: int | None = None
    """Since when a fault keeps it from starting; None while it only waits for its turn, a node, or its image."""
    limits: TimeLimits | None = None
    """None where the engine need not keep them: on a laptop, the parent of the run's process does."""

    @property
    def live(self) -> bool:
        return self.phase is not RunPhase.ENDED
