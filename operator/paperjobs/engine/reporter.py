"""Step 4 of a tick, the acting half: enqueue what was made with kubectl, and write what changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from paperjobs.engine import report
from paperjobs.engine.clock import seconds
from paperjobs.engine.decide import Snapshot, Wait
from paperjobs.engine.sidebyside import side_by_side
from paperjobs.errors import LaunchRefused
from paperjobs.model import JobState, JobStatus, PaperJobView, QueueSettings, QueueStatus, RunPhase
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

    async def report(self, snapshot: Snapshot, status: QueueStatus, wait: Wait | None) -> int | None:
        """Make objects say what is. Returns when to look again for a pod that may stay pending (ms, Redis'
        clock), or None."""
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
        await self._show_all(settings, desired)
        self._written_at = {view.name: self._written_at.get(view.name, 0.0) for view in unfinished}
        await self._forget_history(settings, report.past_history(settings, views, active))
        await self._cluster.show_queue(settings, status)
        await self._cluster.show_budgets(snapshot.state.budgets)
        left = (
            run.created_at + report.PENDING_SHOWN_AFTER_MS - snapshot.cluster_now
            for run in snapshot.runs
            if run.phase is RunPhase.PENDING
        )
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
                await self._queue.enqueue(view.job_id, view.job_name, view.data)
                states.update(await self._queue.states([view.job_id]))
        return states

    async def _show_all(self, settings: QueueSettings, desired: list[tuple[PaperJobView, JobStatus]]) -> None:
        """Write what is worth it, some side by side. A status that the server refuses stops none of the others."""

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
        writes = [
            show(view, status)
            for view, status in desired
            if report.worth_writing(
                view.status, status, progress_due=now - self._written_at.get(view.name, 0.0) >= PROGRESS_EVERY_S
            )
        ]
        for result in await side_by_side(writes):
            if result is not None:
                raise result
