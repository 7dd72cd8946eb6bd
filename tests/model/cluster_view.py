"""One process's end of the cluster: implements `paperjobs.ports.Cluster` as `KubernetesCluster` does, with a cache that
is as far behind the truth as the test lets it be, and every request to the API server under the test's control."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from model.cluster_truth import ClusterTruth, TruePaperJob
from model.crossing import Traffic
from paperjobs.errors import ClusterUnavailable, LaunchRefused, PaperJobDeleted
from paperjobs.kube.names import HAND_MADE
from paperjobs.model import (
    BudgetUse,
    Job,
    JobStatus,
    Outcome,
    PaperJobView,
    QueueSettings,
    QueueStatus,
    Run,
    RunPhase,
    paperjob_name,
)

UNSEEN_MS = 30_000
"""How long a launched run counts without having been seen (RunCache.UNSEEN_SECONDS)."""


@dataclass
class ClusterView:
    """`changed` is called when the cache shows something new about runs, or PaperJobs that came or went."""

    truth: ClusterTruth
    traffic: Traffic
    process: str
    changed: Callable[[], None] = lambda: None
    synced: bool = True
    statuses: list[QueueStatus] = field(default_factory=list)
    _runs: dict[str, Run] = field(default_factory=dict)
    _runs_seen: int = 0
    _paperjobs: dict[str, TruePaperJob] = field(default_factory=dict)
    _paperjobs_seen: int = 0
    _launched: dict[str, tuple[Run, int]] = field(default_factory=dict)
    _gone: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """A cold start lists everything."""
        self._runs = {name: true.run for name, true in self.truth.runs.items()}
        self._runs_seen = len(self.truth.run_changes)
        self._paperjobs = dict(self.truth.paperjobs)
        self._paperjobs_seen = len(self.truth.paperjob_changes)

    # --- the watches

    @property
    def behind(self) -> int:
        return len(self.truth.run_changes) - self._runs_seen + len(self.truth.paperjob_changes) - self._paperjobs_seen

    def see_runs(self, count: int) -> None:
        """Take in so many changes of runs."""
        news = self.truth.run_changes[self._runs_seen : self._runs_seen + count]
        self._runs_seen += len(news)
        for name, run in news:
            self._launched.pop(name, None)
            if run is None:
                self._runs.pop(name, None)
            else:
                self._runs[name] = run
        if news:
            self.changed()

    def see_old(self, before: int) -> None:
        """Take in the changes of runs made before that instant: no watch is so late and thought to be well."""
        unseen = self.truth.changed_at[self._runs_seen :]
        self.see_runs(sum(at < before for at in unseen))

    def see_paperjobs(self, count: int) -> None:
        """Take in so many changes of PaperJobs. What our own writes told already is passed over."""
        news = self.truth.paperjob_changes[self._paperjobs_seen : self._paperjobs_seen + count]
        self._paperjobs_seen += len(news)
        came_or_went = False
        for name, paperjob in news:
            known = self._paperjobs.get(name)
            if paperjob is None:
                came_or_went = self._forget(name) or came_or_went
            elif paperjob.uid not in self._gone and not self._is_newer(known, paperjob):
                self._paperjobs[name] = paperjob
                came_or_went = came_or_went or known is None or known.uid != paperjob.uid
        if came_or_went:
            self.changed()

    def _is_newer(self, known: TruePaperJob | None, reported: TruePaperJob) -> bool:
        return known is not None and known.version > reported.version

    def _forget(self, name: str) -> bool:
        known = self._paperjobs.pop(name, None)
        if known is not None:
            self._gone.add(known.uid)
        return known is not None

    def _saw(self, paperjob: TruePaperJob) -> None:
        known = self._paperjobs.get(paperjob.view.name)
        if paperjob.uid not in self._gone and not self._is_newer(known, paperjob):
            self._paperjobs[paperjob.view.name] = paperjob

    # --- the port

    def now(self) -> int:
        return self.truth.clock.now

    def runs(self, queue: QueueSettings) -> Sequence[Run]:
        if not self.synced:
            raise ClusterUnavailable("Jobs and Pods cannot be watched right now")
        now = self.truth.clock.now
        self._launched = {name: entry for name, entry in self._launched.items() if entry[1] > now}
        return [*self._runs.values(), *(run for run, _ in self._launched.values())]

    async def launch(self, queue: QueueSettings, job: Job, name: str) -> None:
        owner = await self._owner(queue, job)

        async def create() -> None:
            if self.truth.refusing and name not in self.truth.runs:
                raise LaunchRefused("exceeded quota")
            self.truth.create_run(queue, job, name, owner, self.process)

        await self._ask(f"create Job of {job.id}/{job.claim.number}", create)
        if name not in self._runs:
            run = Run(
                name=name,
                job_id=job.id,
                claim=job.claim.number,
                token=job.claim.token,
                attempt=job.attempts_made + 1,
                phase=RunPhase.PENDING,
                created_at=self.truth.clock.now,
            )
            self._launched[name] = (run, self.truth.clock.now + UNSEEN_MS)

    async def run_exists(self, queue: QueueSettings, name: str) -> bool:
        async def get() -> bool:
            return name in self.truth.runs and self.truth.runs[name].job_exists

        return bool(await self._ask("get Job", get, reads=True))

    async def rehearse(self, queue: QueueSettings) -> None:
        async def rehearse() -> None:
            if self.truth.refusing:
                raise LaunchRefused("exceeded quota")

        await self._ask("rehearse", rehearse, reads=True)

    async def give_up(self, queue: QueueSettings, name: str, outcome: Outcome) -> None:
        async def patch() -> None:
            if name in self.truth.runs:
                self.truth.terminate_pod(name, outcome)

        await self._ask(f"give up as {outcome.reason}", patch)

    async def remove(self, queue: QueueSettings, name: str) -> None:
        async def delete() -> None:
            self.truth.remove_run(name)

        await self._ask("delete Job", delete)

    def paperjobs(self, queue: QueueSettings) -> Sequence[PaperJobView] | None:
        return [known.view for known in self._paperjobs.values()]

    async def paperjob_exists(self, queue: QueueSettings, job_id: str) -> bool:
        async def get() -> bool:
            return self.truth.paperjob_by_job(job_id) is not None

        return bool(await self._ask("get PaperJob", get, reads=True))

    async def show_job(self, queue: QueueSettings, paperjob: PaperJobView, status: JobStatus) -> None:
        known = self._paperjobs.get(paperjob.name)
        if known is None or known.view.status == status:
            return

        async def patch() -> TruePaperJob | None:
            return self.truth.patch_status(paperjob.name, status)

        patched = await self._ask(f"patch PaperJob of {paperjob.job_id}: {status.phase}", patch)
        if patched is not None:
            self._saw(patched)

    async def forget_job(self, queue: QueueSettings, paperjob: PaperJobView) -> None:
        known = self._paperjobs.get(paperjob.name)
        if known is not None:
            await self._delete(known)

    async def show_queue(self, queue: QueueSettings, status: QueueStatus) -> None:
        self.statuses.append(status)

    async def show_budgets(self, budgets: Sequence[BudgetUse]) -> None:
        pass

    # --- as KubernetesCluster

    async def _owner(self, queue: QueueSettings, job: Job) -> str:
        if HAND_MADE.fullmatch(job.id):
            known = next((known for known in self._paperjobs.values() if known.view.job_id == job.id), None)
            if known is None:

                async def list_all() -> TruePaperJob | None:
                    return self.truth.paperjob_by_job(job.id)

                known = await self._ask("list PaperJobs", list_all, reads=True)
            if known is None:
                raise PaperJobDeleted
            return known.uid
        known = self._paperjobs.get(paperjob_name(queue, job.id))
        if known is None or _is_final(known):
            known = await self._create_paperjob(queue, job)
        if _is_final(known) and known.paper != job.data:
            await self._delete(known)
            known = await self._create_paperjob(queue, job)
        return known.uid

    async def _create_paperjob(self, queue: QueueSettings, job: Job) -> TruePaperJob:
        name = paperjob_name(queue, job.id)

        async def create() -> TruePaperJob | None:
            return self.truth.create_paperjob(name, job.id, job.data)

        async def get() -> TruePaperJob | None:
            return self.truth.paperjobs.get(name)

        made: TruePaperJob | None = await self._ask(f"create PaperJob of {job.id}", create)
        if made is None:
            made = await self._ask(f"get PaperJob of {job.id}", get, reads=True)
        if made is None:
            raise ClusterUnavailable(f"PaperJob {name} is just being deleted")
        self._saw(made)
        return made

    async def _delete(self, known: TruePaperJob) -> None:
        async def delete() -> None:
            self.truth.delete_paperjob(known.view.name, known.uid)

        await self._ask(f"delete PaperJob of {known.view.job_id}", delete)
        current = self._paperjobs.get(known.view.name)
        if current is not None and current.uid == known.uid:
            self._forget(known.view.name)

    async def _ask(self, what: str, act: Callable[[], Coroutine[Any, Any, Any]], *, reads: bool = False) -> Any:
        return await self.traffic.cross(self.process, what, act, unavailable=ClusterUnavailable, reads=reads)


def _is_final(paperjob: TruePaperJob) -> bool:
    status = paperjob.view.status
    return status is not None and status.phase.final
