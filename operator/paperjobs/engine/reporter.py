"""Step 4 of a tick, the acting half: enqueue what was made with kubectl, and write what changed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from paperjobs.engine import report
from paperjobs.engine.decide import Snapshot, Wait
from paperjobs.model import JobState, JobStatus, PaperJobView, QueueStatus, RunPhase
from paperjobs.ports import Cluster, JobQueue

PROGRESS_EVERY_S: Final = 10.0
"""Seconds between two status writes that only move the progress of a run."""


class Reporter:
    """Writes the statuses of one queue and of its PaperJobs."""

    def __init__(self, *, queue: JobQueue, cluster: Cluster) -> None:
        self._queue = queue
        self._cluster = cluster
        self._written_at: dict[str, float] = {}

    async def report(self, snapshot: Snapshot, status: QueueStatus, wait: Wait | None) -> int | None:
        """Make objects say what is. Returns when to look again for a pod that may stay pending (ms), or None."""
        settings = snapshot.settings
        views = self._cluster.paperjobs(settings)
        unfinished = [view for view in views if view.status is None or not view.status.phase.final]
        active = report.active_runs(snapshot)
        states = await self._idle_states([view for view in unfinished if view.job_id not in active])
        newest = report.newest_runs(snapshot.runs)
        for view in unfinished:
            if view.job_id in active:
                desired = report.active_status(active[view.job_id], snapshot.state.now)
            else:
                desired = report.idle_status(view, states[view.job_id], newest.get(view.job_id), wait)
            if desired is not None:
                await self._show(snapshot, view, desired)
        self._written_at = {view.name: self._written_at.get(view.name, 0.0) for view in unfinished}
        for view in report.past_history(settings, views):
            await self._cluster.forget_job(settings, view)
        await self._cluster.show_queue(settings, status)
        return min(
            (
                run.created_at + report.PENDING_SHOWN_AFTER_MS
                for run in snapshot.runs
                if run.phase is RunPhase.PENDING and run.created_at + report.PENDING_SHOWN_AFTER_MS > snapshot.state.now
            ),
            default=None,
        )

    async def _idle_states(self, views: list[PaperJobView]) -> Mapping[str, JobState]:
        """The states of jobs without a claim. A PaperJob made with kubectl whose job Redis does not know is enqueued:
        adding is idempotent, and its finished job stays in Redis, so it cannot run again."""
        states = dict(await self._queue.states(view.job_id for view in views))
        for view in views:
            if view.made_by_hand and states[view.job_id].phase is None:
                await self._queue.enqueue(view.job_id, view.job_name, view.data)
                states.update(await self._queue.states([view.job_id]))
        return states

    async def _show(self, snapshot: Snapshot, view: PaperJobView, desired: JobStatus) -> None:
        now = time.monotonic()
        progress_due = now - self._written_at.get(view.name, 0.0) >= PROGRESS_EVERY_S
        if report.worth_writing(view.status, desired, progress_due=progress_due):
            await self._cluster.show_job(snapshot.settings, view, desired)
            self._written_at[view.name] = now
