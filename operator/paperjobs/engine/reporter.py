"""Step 4 of a tick, the acting half: enqueue what was made with kubectl, and write what changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from paperjobs.engine import report
from paperjobs.engine.clock import seconds
from paperjobs.engine.decide import Snapshot, Wait
from paperjobs.engine.sidebyside import side_by_side
from paperjobs.engine.waiting import AT_ONCE, News, Tellings, out_of_date, still_waits
from paperjobs.errors import LaunchRefused
from paperjobs.model import JobPhase, JobState, JobStatus, PaperJobView, QueueSettings, QueueStatus, RunPhase
from paperjobs.ports import Cluster, JobQueue

PROGRESS_EVERY_S: Final = 10.0
"""Seconds between two status writes that only move the progress of a run."""

log = logging.getLogger(__name__)


class Reporter:
    """Writes the statuses of one queue and of its PaperJobs."""

    def __init__(self, *, queue: JobQueue, cluster: Cluster) -> None:
        self._queue = queue
        self._cluster = cluster
        self._written_at: dict[str, float] = {}
        self._tellings = Tellings()

    async def report(self, snapshot: Snapshot, status: QueueStatus, wait: Wait | None) -> int | None:
        """Make objects say what is. Returns when to do so again (ms, Redis' clock), or None: a pod may stay pending,
        or there was more to say than one tick has time for."""
        settings = snapshot.settings
        views = self._cluster.paperjobs(settings) or ()
        active = report.active_runs(snapshot)
        # A finished job that was retried or added again is shown anew once it is claimed.
        unfinished = [
            view for view in views if view.status is None or not view.status.phase.final or view.job_id in active
        ]
        states = await self._idle_states([view for view in unfinished if view.job_id not in active])
        newest = report.newest_runs(snapshot.runs)
        desired: list[tuple[PaperJobView, JobStatus]] = []
        for view in unfinished:
            if view.job_id in active:
                status_of_job = report.active_status(active[view.job_id], snapshot.cluster_now)
            else:
                status_of_job = report.idle_status(view, states[view.job_id], newest.get(view.job_id), wait)
            if status_of_job is not None:
                desired.append((view, status_of_job))
        all_shown = await self._show_all(settings, desired, snapshot.state.now)
        self._tellings.keep([view.name for view in unfinished])
        self._written_at = {view.name: self._written_at.get(view.name, 0.0) for view in unfinished}
        await self._forget_history(settings, report.past_history(settings, views, active))
        await self._cluster.show_queue(settings, status)
        await self._cluster.show_budgets(snapshot.state.budgets)
        left = (
            run.created_at + report.PENDING_SHOWN_AFTER_MS - snapshot.cluster_now
            for run in snapshot.runs
            if run.phase is RunPhase.PENDING
        )
        if not all_shown:
            return snapshot.state.now
        return min((snapshot.state.now + wait for wait in left if wait > 0), default=None)

    async def _forget_history(self, settings: QueueSettings, past: list[PaperJobView]) -> None:
        """Delete old PaperJobs, but not that of a job which was retried or added again and waits: without its PaperJob
        it would count as cancelled."""
        states = await self._queue.states(view.job_id for view in past)
        for view in past:
            phase = states[view.job_id].phase
            if phase is None or phase.final:
                await self._cluster.forget_job(settings, view)

    async def _idle_states(self, views: list[PaperJobView]) -> Mapping[str, JobState]:
        """The states of jobs without a claim. A new PaperJob made with kubectl is enqueued: adding is idempotent,
        and its finished job stays in Redis, so that a crash before its status is written cannot repeat it."""
        states = dict(await self._queue.states(view.job_id for view in views))
        for view in views:
            if view.made_by_hand and view.status is None and states[view.job_id].phase is None:
                await self._queue.enqueue(view.job_id, view.job_name, view.data, view.options)
                states.update(await self._queue.states([view.job_id]))
        return states

    async def _show_all(self, settings: QueueSettings, desired: list[News], now_ms: int) -> bool:
        """Write what is worth it, some side by side; False when more should be written at once. A status that the
        server refuses stops none of the others."""

        async def show(view: PaperJobView, status: JobStatus) -> None:
            try:
                await self._cluster.show_job(settings, view, status)
            except LaunchRefused as refused:
                log.error(
                    "The status of PaperJob %s was refused: %s",
                    view.name,
                    refused,
                    extra={"action": "status_refused", "queue": settings.queue, "job": view.job_id},
                )
            self._written_at[view.name] = seconds()

        now = seconds()
        first: list[News] = []
        waiting: list[News] = []
        changed: list[News] = []
        for view, status in desired:
            if view.status is None and status.phase in (JobPhase.WAITING, JobPhase.DELAYED):
                first.append((view, status))
            elif view.status is not None and still_waits(view.status, status):
                if out_of_date(view.status, status, now_ms):
                    waiting.append((view, status))
            elif report.worth_writing(
                view.status, status, progress_due=now - self._written_at.get(view.name, 0.0) >= PROGRESS_EVERY_S
            ):
                changed.append((view, status))
        chosen = [*changed, *first[:AT_ONCE], *self._tellings.choose(waiting, now)]
        writes = [show(view, status) for view, status in chosen]
        for result in await side_by_side(writes):
            if result is not None:
                raise result
        return len(first) <= AT_ONCE
