"""What happened in a run of chaos, as others than the operator saw it: the evidence that `check.py` judges.

Three witnesses: Redis (BullMQ's event streams, the jobs as they are at the end), the API server (every revision of
every Job and Pod, in etcd's own total order), and the runners (a line in a log when one starts and when one ends).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a queue promises."""

    concurrency: int
    max: int | None = None
    """Starts per window; None: no rate limit."""
    per_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class Added:
    """A job that the producer's client said is added."""

    queue: str
    id: str
    attempts: int


@dataclass(frozen=True, kw_only=True)
class Event:
    """An entry of a queue's event stream."""

    queue: str
    at: int
    """Redis' clock, ms: the instant of the script that wrote it. For `active` that is the claim, and so the start."""
    kind: str
    job_id: str


@dataclass(frozen=True, kw_only=True)
class Final:
    """A job in Redis at the end."""

    state: str
    attempts_made: int
    attempts_started: int


@dataclass(frozen=True, kw_only=True)
class Change:
    """A revision of a Job or a Pod of ours."""

    revision: int
    kind: str
    name: str
    uid: str
    run: str
    """The Kubernetes Job's name, one for each claim."""
    queue: str
    job_id: str
    claim: int
    attempt: int
    live: bool
    """A Pod that may still run: it exists, and its phase is not final. A Job without a verdict."""
    ending: str = ""
    """Of a Pod: done, failed, never, limited or disrupted, once it has ended."""
    leaving: bool = False
    """It is being deleted."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """A runner's own word that it started."""

    at: float
    """The machine's clock, seconds."""
    run: str
    queue: str
    job_id: str
    claim: int


@dataclass(kw_only=True)
class History:
    """Everything that was seen."""

    limits: Mapping[str, Limits]
    added: list[Added] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    final: dict[tuple[str, str], Final] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    started: list[Started] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    """Runs whose Job or Pod the storm deleted: what the run had said by then may or may not have been read."""
    jobs_deleted: set[str] = field(default_factory=set)
    """Those of them whose Job it was. If the operator is killed after it made the Job and before it recorded that, and
    the Job is deleted by hand before the next one looks, nothing anywhere tells that it was: it is made once more."""
    died: list[str] = field(default_factory=list)
    """Operators that ended without being killed, each with the end of its log."""
