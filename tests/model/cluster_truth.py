"""What exists in the cluster, as the API server knows it: runs with their pods, PaperJobs, and who owns whom.

Processes see it through `ClusterView`, late. Times are ms of the fake clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from paperjobs.kube.names import HAND_MADE_PREFIX
from paperjobs.model import Job, JobStatus, Outcome, OutcomeKind, PaperJobView, QueueSettings, Run, RunPhase
from support.fakeclock import FakeClock

POD_DELETED = Outcome(kind=OutcomeKind.DISRUPTED, reason="PodVanished", message="its pod was deleted")


@dataclass
class TrueRun:
    """A Kubernetes Job with its pod. `job_exists` is about the Job object: its pod may outlive it."""

    run: Run
    token: str
    owner: str
    """Uid of the PaperJob that owns it."""
    job_exists: bool = True
    removed: bool = False
    """The Job is being deleted in the foreground: it goes with its pod."""
    terminating_since: int = 0
    ends_with: Outcome | None = None
    """How it ends when its pod has terminated; None when nothing will be left of it."""

    @property
    def pod_lives(self) -> bool:
        return self.run.live


@dataclass
class TruePaperJob:
    """A PaperJob object."""

    uid: str
    view: PaperJobView
    paper: str
    """What it shows of its job's payload."""
    version: int = 0
    """As a resourceVersion."""


@dataclass
class ClusterTruth:
    """`created` is told of each run that begins, with the process that asked for it."""

    clock: FakeClock
    runs: dict[str, TrueRun] = field(default_factory=dict)
    paperjobs: dict[str, TruePaperJob] = field(default_factory=dict)
    run_changes: list[tuple[str, Run | None]] = field(default_factory=list)
    """Everything that watches tell: a name, and what stands under it from then on."""
    paperjob_changes: list[tuple[str, TruePaperJob | None]] = field(default_factory=list)
    changed_at: list[int] = field(default_factory=list)
    """When each change of a run was made."""
    created: Callable[[TrueRun, str], None] = lambda run, process: None
    refusing: bool = False
    """A quota or admission refuses every new run."""
    _uids: int = 0

    # --- what the API server does for the engine

    def create_run(self, queue: QueueSettings, job: Job, name: str, owner: str, process: str) -> bool:
        """Create a run's Job; False when one of that name exists."""
        if name in self.runs:
            return False
        run = Run(
            name=name,
            job_id=job.id,
            claim=job.claim.number,
            token=job.claim.token,
            attempt=job.attempts_made + 1,
            phase=RunPhase.PENDING,
            created_at=self.clock.now,
            limits=queue.time_limits,
        )
        self.runs[name] = TrueRun(run=run, token=job.claim.token, owner=owner)
        self.created(self.runs[name], process)
        self._tell(name)
        return True

    def remove_run(self, name: str, *, foreground: bool = True) -> None:
        """Delete a run's Job. In the foreground it stays until its pod is gone; by hand the Job goes at once."""
        true = self.runs.get(name)
        if true is None:
            return
        if not true.pod_lives:
            del self.runs[name]
            self._tell(name)
            return
        true.removed = True
        true.job_exists = true.job_exists and foreground
        true.ends_with = None
        self._phase(name, RunPhase.TERMINATING)

    def create_paperjob(self, name: str, job_id: str, paper: str) -> TruePaperJob | None:
        """Create the PaperJob that shows a job; None when one of that name exists."""
        if name in self.paperjobs:
            return None
        view = PaperJobView(name=name, job_id=job_id, made_by_hand=False)
        return self._put(name, TruePaperJob(uid=self._uid(), view=view, paper=paper))

    def patch_status(self, name: str, status: JobStatus) -> TruePaperJob | None:
        """Write a PaperJob's status; None when it is gone."""
        known = self.paperjobs.get(name)
        if known is None:
            return None
        finished_at = status.finished_at if status.phase.final else None
        return self._put(name, replace(known, view=replace(known.view, status=status, finished_at=finished_at)))

    def delete_paperjob(self, name: str, uid: str | None = None) -> None:
        """Delete a PaperJob, if it is still the one with that uid; its runs are collected later."""
        known = self.paperjobs.get(name)
        if known is not None and uid in (None, known.uid):
            del self.paperjobs[name]
            self.paperjob_changes.append((name, None))

    def paperjob_by_job(self, job_id: str) -> TruePaperJob | None:
        return next((known for known in self.paperjobs.values() if known.view.job_id == job_id), None)

    # --- what people, nodes and controllers do

    def make_paperjob(self, data: str) -> str:
        """Make a PaperJob with kubectl; its name."""
        uid = self._uid()
        view = PaperJobView(name=f"mine-{uid[-8:]}", job_id=HAND_MADE_PREFIX + uid, made_by_hand=True, data=data)
        self._put(view.name, TruePaperJob(uid=uid, view=view, paper=data))
        return view.name

    def collect_garbage(self) -> None:
        """Delete the runs whose PaperJobs are gone, as the garbage collector does: in the background."""
        owners = {known.uid for known in self.paperjobs.values()}
        for name, true in list(self.runs.items()):
            if true.owner not in owners and true.job_exists:
                self.remove_run(name, foreground=False)

    def start_pod(self, name: str) -> None:
        if self.runs[name].run.phase is RunPhase.PENDING:
            self.runs[name].run = replace(self.runs[name].run, started_at=self.clock.now)
            self._phase(name, RunPhase.RUNNING)

    def terminate_pod(self, name: str, ends_with: Outcome) -> None:
        """Ask a pod to leave: an eviction, a deadline, a deletion by hand."""
        true = self.runs[name]
        if true.run.phase in (RunPhase.PENDING, RunPhase.RUNNING):
            true.ends_with = ends_with
            self._phase(name, RunPhase.TERMINATING)

    def end_pod(self, name: str, outcome: Outcome) -> None:
        """A pod ends by itself; one that was asked to leave ends as that says."""
        true = self.runs[name]
        if not true.pod_lives:
            return
        if true.run.phase is RunPhase.TERMINATING and true.ends_with is None:
            del self.runs[name]
            self._tell(name)
            return
        if true.run.phase is RunPhase.TERMINATING and true.ends_with is not None:
            outcome = true.ends_with
        true.run = replace(true.run, outcome=outcome, ended_at=self.clock.now)
        self._phase(name, RunPhase.ENDED)

    @property
    def live(self) -> list[str]:
        """Names of the runs whose pods are not gone."""
        return [name for name, true in self.runs.items() if true.pod_lives]

    def _phase(self, name: str, phase: RunPhase) -> None:
        if phase is RunPhase.TERMINATING and self.runs[name].run.phase is not phase:
            self.runs[name].terminating_since = self.clock.now
        self.runs[name].run = replace(self.runs[name].run, phase=phase)
        self._tell(name)

    def _tell(self, name: str) -> None:
        self.changed_at.append(self.clock.now)
        self.run_changes.append((name, self.runs[name].run if name in self.runs else None))

    def _put(self, name: str, paperjob: TruePaperJob) -> TruePaperJob:
        paperjob = replace(paperjob, version=len(self.paperjob_changes))
        self.paperjobs[name] = paperjob
        self.paperjob_changes.append((name, paperjob))
        return paperjob

    def _uid(self) -> str:
        self._uids += 1
        return f"00000000-0000-0000-0000-{self._uids:012x}"
