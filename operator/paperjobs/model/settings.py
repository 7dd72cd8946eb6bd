"""What the infra team sets: a queue's limits, its retries, and its runner's pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from paperjobs.model.naming import dns_slug
from paperjobs.model.run import TimeLimits
from paperjobs_runner.contract import Budget, digest

LAST_RESORT_S: Final = 300
"""How much longer than its own time limits a run may exist when no operator is there to end it."""

RELOCK_MARGIN_MS: Final = 120_000
"""How much longer than its run a claim's lock lives: the deletion of its pod is not inside its time limits."""

TERMINATION_GRACE_S: Final = 30
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
    budgets: tuple[Budget, ...] = ()
    """Limits of the external services that the pipeline calls, shared with every other queue that names them."""
    attempts: int = 1
    """Attempts of a job whose producer set none."""
    backoff: Backoff | None = None
    disruptions: int = 10
    """Disruptions of one attempt that cost nothing; the next one counts as a failure."""
    timeout_s: int = 600
    """A run is ended this long after its pod began to run."""
    start_timeout_s: int = 1800
    """A run is ended when its pod does not run this long after its Job was created; it holds its slot until then."""
    image_grace_s: int = 180
    """A run is ended when a fault (its image, its configuration) has kept its pod from starting for this long."""
    suspend: bool = False
    keep_completed: int = 100
    keep_failed: int = 200
    """PaperJobs kept after their end; older ones are deleted. BullMQ's own history follows removeOnComplete/Fail."""
    template: RunnerTemplate = field(default_factory=RunnerTemplate)

    @cached_property
    def key(self) -> str:
        """What the queue is called in labels and inside the engine: the same whichever PaperQueue serves it."""
        return f"{dns_slug(self.queue)}-{digest(self.prefix, self.queue)}"

    @property
    def time_limits(self) -> TimeLimits:
        """Those of a run that is launched now."""
        return TimeLimits(start_s=self.start_timeout_s, fault_s=self.image_grace_s, run_s=self.timeout_s)

    @property
    def longest_run_s(self) -> int:
        """How long a run may exist whatever happens."""
        return self.start_timeout_s + self.timeout_s + LAST_RESORT_S

    @property
    def lock_ms(self) -> int:
        """How long a claim's lock lives: longer than any run, so that nothing needs to renew it."""
        return self.longest_run_s * 1000 + RELOCK_MARGIN_MS
