"""The promises, checked against what really happened: the queue's claims and ends, the cluster's runs. Nothing here is
told by an engine.

- at most N starts in any window        - live runs within concurrency       - one run for each claim
- a claim ends as its run did, or for a reason that somebody gave          - every job ends exactly once
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from model.cluster_truth import ClusterTruth, TrueRun
from model.process import Limits
from paperjobs.engine.launch import CANCELLED
from paperjobs.engine.settle import RUN_DELETED
from paperjobs.model import Claim, Job, Outcome, OutcomeKind, QueueSettings, run_name
from support.memory_bullmq import StoredJob
from support.memory_queue import MemoryRedis


@dataclass(frozen=True)
class Start:
    """A start that Redis counted."""

    at: int
    process: str


@dataclass
class Ledger:
    """Told of everything as it happens; what was broken is in `violations`."""

    settings: QueueSettings
    redis: MemoryRedis
    truth: ClusterTruth
    limits_of: Callable[[str], Limits]
    violations: list[str] = field(default_factory=list)
    starts: dict[str, Start] = field(default_factory=dict)
    """The latest start of each token."""
    launches: dict[str, Start] = field(default_factory=dict)
    """The starts of the runs that were created, by run."""
    ran: set[Claim] = field(default_factory=set)
    """The claims that had a run."""
    run_of: dict[str, str] = field(default_factory=dict)
    """The run of each claim, by token."""
    strays: set[str] = field(default_factory=set)
    """Runs whose creation was under way when their claim ended."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """How runs ended, by run."""
    cancelled: set[str] = field(default_factory=set)
    """Jobs whose PaperJob a person deleted."""
    deleted_runs: set[str] = field(default_factory=set)
    """Runs that a person deleted."""
    forgotten: set[str] = field(default_factory=set)
    """Runs that a person deleted before anybody could record that they had been launched: nothing is left by which to
    know that they ever were, and they are launched again."""
    refused: bool = False
    """The cluster refused launches at some time."""
    ends: Counter[str] = field(default_factory=Counter)
    """Final ends by job."""
    attempts: Counter[str] = field(default_factory=Counter)
    """Ends that cost an attempt, by job."""
    foreign: set[str] = field(default_factory=set)
    """Jobs that a foreign worker had."""

    # --- told by the queue

    def claimed(self, job: Job, process: str) -> None:
        self.starts[job.claim.token] = Start(self.redis.clock.now, process)
        name = self.run_of[job.claim.token] = run_name(self.settings, job.id, job.claim)
        used, allowed = self.slots_used(), self.limits_of(process).concurrency
        if used > allowed:
            self._broken(f"{process} claimed {job.id}: {used} slots in use, {allowed} allowed")
        if name in self.outcomes or name in self.launches:
            self._broken(f"the claim {name} was made twice")

    def reserved(self, token: str, process: str) -> None:
        self.starts[token] = Start(self.redis.clock.now, process)

    def finished(self, job_id: str, claim: Claim, outcome: Outcome) -> None:
        name = run_name(self.settings, job_id, claim)
        true = self.truth.runs.get(name)
        if outcome.kind in (OutcomeKind.COMPLETED, OutcomeKind.FAILED, OutcomeKind.NEVER):
            self.attempts[job_id] += 1
        if not self._justified(job_id, name, outcome):
            self._broken(f"{job_id}/{claim.number} ended as {outcome.reason}, and nobody gave a reason")
        elif true is not None and true.pod_lives and outcome.reason == "LaunchRefused":
            self._broken(f"{job_id}/{claim.number} was returned as {outcome.reason}, and its run lives")

    def ended(self, job: StoredJob, state: str) -> None:
        """A job reached its final state in BullMQ."""
        self.ends[job.id] += 1
        if self.ends[job.id] > 1:
            self._broken(f"job {job.id} ended {self.ends[job.id]} times")

    # --- told by the cluster

    def created(self, true: TrueRun, process: str) -> None:
        name, token = true.run.name, true.token
        claim = Claim(number=true.run.claim, token=token)
        if claim in self.ran and name not in self.forgotten:
            self._broken(f"claim {true.run.job_id}/{true.run.claim} has a second run: {name}")
        self.ran.add(claim)
        if all(known.uid != true.owner for known in self.truth.paperjobs.values()):
            self.forgotten.add(name)  # its PaperJob was deleted while it was on its way: it is collected at once
        start = self.starts.get(token)
        if start is None:
            self._broken(f"{process} launched {true.run.job_id} without a start")
            return
        if start.process != process:
            self._broken(f"{process} launched {true.run.job_id} on a start of {start.process}")
        self.launches[name] = start
        self._check_window(start, process)
        if not self._is_current(true):
            self.strays.add(name)

    def run_ended(self, name: str, outcome: Outcome) -> None:
        self.outcomes[name] = outcome

    # --- told of what people did

    def paperjob_deleted(self, job_id: str) -> None:
        self.cancelled.add(job_id)
        for name, true in self.truth.runs.items():
            if true.run.job_id == job_id:
                self._forget_unrecorded(name)

    def run_deleted(self, name: str) -> None:
        self.deleted_runs.add(name)
        self._forget_unrecorded(name)

    # --- the checks

    def slots_used(self) -> int:
        """Claims of ours whose run has not ended, live runs, and jobs of foreign workers."""
        holders = {name for name in self.truth.live if name not in self.strays}
        foreign = 0
        for job_id in self.redis.bullmq.active:
            job = self.redis.bullmq.jobs[job_id]
            name = run_name(self.settings, job_id, Claim(number=job.ats, token=job.pb))
            if name != self.run_of.get(job.pb) and name not in self.launches:
                foreign += 1
            elif name not in self.outcomes:
                holders.add(name)
        return len(holders) + foreign

    def _check_window(self, start: Start, process: str) -> None:
        limits = [settings.rate_limit for settings in self.limits_of(process).in_force]
        strictest = [limit for limit in limits if limit is not None]
        if len(strictest) < len(limits):
            return
        counts = [
            (sum(start.at - limit.per_ms <= other.at <= start.at for other in self.launches.values()), limit)
            for limit in strictest
        ]
        if all(count > limit.max for count, limit in counts):
            count, limit = counts[0]
            self._broken(f"{count} starts in {limit.per_ms} ms, {limit.max} allowed")

    def _is_current(self, true: TrueRun) -> bool:
        job = self.redis.bullmq.jobs.get(true.run.job_id)
        current = job is not None and (job.pb, job.ats) == (true.token, true.run.claim)
        return current and true.run.job_id in self.redis.bullmq.active

    def _forget_unrecorded(self, name: str) -> None:
        run = self.truth.runs[name].run
        job = self.redis.bullmq.jobs.get(run.job_id)
        if job is not None and job.launched != f"{run.token}:{run.claim}":
            self.forgotten.add(name)

    def _justified(self, job_id: str, name: str, outcome: Outcome) -> bool:
        if outcome == self.outcomes.get(name):
            return True
        if outcome == CANCELLED:
            return job_id in self.cancelled
        if outcome == RUN_DELETED:
            return name in self.deleted_runs
        if outcome.reason == "LaunchRefused":
            return self.refused
        return outcome.reason == "DeferredFailure" and self.redis.bullmq.jobs[job_id].stc > 1

    def _broken(self, what: str) -> None:
        self.violations.append(what)
