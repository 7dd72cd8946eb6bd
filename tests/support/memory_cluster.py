"""A Cluster that lives in memory: runs end when the test says so. The engine's tests run on it and on the real ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from paperjobs.errors import ClusterUnavailable, LaunchRefused
from paperjobs.model import (
    BudgetUse,
    Job,
    JobStatus,
    Outcome,
    OutcomeKind,
    PaperJobView,
    QueueSettings,
    QueueStatus,
    Run,
    RunPhase,
    paperjob_name,
)
from paperjobs.model.naming import dns_slug


def completed(result: dict[str, object] | None = None) -> Outcome:
    """The outcome of a run that stored its result."""
    return Outcome(kind=OutcomeKind.COMPLETED, reason="Completed", result=result)


@dataclass
class MemoryCluster:
    """Records every launch and every write; `on_change` is told a queue's name when one of its runs changes."""

    on_change: Callable[[str], None] = lambda _: None
    existing: dict[str, Run] = field(default_factory=dict)
    launched: list[tuple[str, Job]] = field(default_factory=list)
    queue_of: dict[str, str] = field(default_factory=dict)
    """The key of each run's queue, as a label would tell."""
    launched_at: list[float] = field(default_factory=list)
    """time.monotonic() of each launch."""
    shown: dict[str, PaperJobView] = field(default_factory=dict)
    queue_statuses: list[QueueStatus] = field(default_factory=list)
    statuses_of: list[tuple[str, QueueStatus]] = field(default_factory=list)
    """The same, each with the name of its queue."""
    budgets: dict[str, BudgetUse] = field(default_factory=dict)
    most_live: int = 0
    broken: bool = False
    """Reads and writes fail as if the API server were gone."""
    refusal: str | None = None
    """Launches and rehearsals are refused with this message."""
    refuses_only_launches: bool = False
    """Rehearsals pass all the same, as where an admission webhook cannot rehearse."""
    rehearsals: int = 0
    crash_on_launch: bool = False
    """Launches raise before anything is created, as when the process dies there."""
    crash_after_launch: bool = False
    """Launches raise after the run was created, as when the process dies before it can record that."""
    slow_launch_s: float = 0
    """Seconds that a launch takes."""
    lingers: bool = False
    """Runs that are removed stay, terminating, until `leave`."""
    ends_at_once: bool = False
    """Runs are complete as soon as they are launched."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def runs(self, queue: QueueSettings) -> Sequence[Run]:
        if self.broken:
            raise ClusterUnavailable
        return [run for name, run in self.existing.items() if self.queue_of[name] == queue.key]

    async def rehearse(self, queue: QueueSettings) -> None:
        self.rehearsals += 1
        if self.broken:
            raise ClusterUnavailable
        if self.refusal is not None and not self.refuses_only_launches:
            raise LaunchRefused(self.refusal)

    async def launch(self, queue: QueueSettings, job: Job, name: str) -> None:
        if self.slow_launch_s:
            await asyncio.sleep(self.slow_launch_s)
        if self.broken or self.crash_on_launch:
            raise ClusterUnavailable
        if self.refusal is not None:
            raise LaunchRefused(self.refusal)
        if name in self.existing:
            return
        self.launched.append((name, job))
        self.queue_of[name] = queue.key
        self.launched_at.append(time.monotonic())
        self.existing[name] = Run(
            name=name,
            job_id=job.id,
            claim=job.claim.number,
            attempt=job.attempts_made + 1,
            phase=RunPhase.RUNNING,
            token=job.claim.token,
            created_at=time.time_ns() // 1_000_000,
        )
        paperjob = paperjob_name(queue, job.id)
        self.shown.setdefault(paperjob, PaperJobView(name=paperjob, job_id=job.id, made_by_hand=False))
        self.most_live = max(self.most_live, sum(run.live for run in self.existing.values()))
        if self.crash_after_launch:
            raise ClusterUnavailable
        if self.ends_at_once:
            self.end(name, completed({"n": len(self.launched)}))

    def end(self, name: str, outcome: Outcome) -> None:
        """Let a run end."""
        self.existing[name] = replace(self.existing[name], phase=RunPhase.ENDED, outcome=outcome)
        self.on_change(self.queue_of[name])

    async def give_up(self, queue: QueueSettings, name: str, outcome: Outcome) -> None:
        if name in self.existing:
            self.end(name, outcome)

    async def run_exists(self, queue: QueueSettings, name: str) -> bool:
        return name in self.existing

    async def remove(self, queue: QueueSettings, name: str) -> None:
        if self.lingers and name in self.existing:
            self.existing[name] = replace(self.existing[name], phase=RunPhase.TERMINATING)
        elif self.existing.pop(name, None) is not None:
            self.on_change(self.queue_of[name])

    @property
    def leaving(self) -> set[str]:
        """The names of the runs that are terminating."""
        return {name for name, run in self.existing.items() if run.phase is RunPhase.TERMINATING}

    def leave(self, name: str) -> None:
        """The pod of a run that was removed is gone."""
        del self.existing[name]
        self.on_change(self.queue_of[name])

    def paperjobs(self, queue: QueueSettings) -> Sequence[PaperJobView]:
        return [view for view in self.shown.values() if view.name.startswith(dns_slug(queue.queue))]

    async def paperjob_exists(self, queue: QueueSettings, job_id: str) -> bool:
        return any(view.job_id == job_id for view in self.shown.values())

    async def show_job(self, queue: QueueSettings, paperjob: PaperJobView, status: JobStatus) -> None:
        self.shown[paperjob.name] = replace(
            self.shown[paperjob.name], status=status, finished_at=status.finished_at if status.phase.final else None
        )

    async def forget_job(self, queue: QueueSettings, paperjob: PaperJobView) -> None:
        """As with an owner reference: the runs go with their PaperJob."""
        del self.shown[paperjob.name]
        self.existing = {name: run for name, run in self.existing.items() if run.job_id != paperjob.job_id}

    async def show_queue(self, queue: QueueSettings, status: QueueStatus) -> None:
        self.queue_statuses.append(status)
        self.statuses_of.append((queue.name, status))

    async def show_budgets(self, budgets: Sequence[BudgetUse]) -> None:
        self.budgets |= {budget.name: budget for budget in budgets}
