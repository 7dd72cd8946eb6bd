"""Step 4 of a tick, the pure half: the status that each PaperJob and the PaperQueue should have."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from paperjobs.engine.decide import Snapshot, Wait
from paperjobs.errors import RedisRefused, RedisUnavailable
from paperjobs.model import (
    CANCELLED_PREFIX,
    POD_REFUSED,
    ActiveJob,
    Counts,
    JobPhase,
    JobState,
    JobStatus,
    OutcomeKind,
    PaperJobView,
    QueueSettings,
    QueueStatus,
    Run,
    RunPhase,
    run_name,
)

PENDING_SHOWN_AFTER_MS: Final = 5_000
"""A pod that starts sooner is not worth a write; one that does not is what people look for."""

PROGRESS_LENGTH: Final = 40
"""Characters of the PROGRESS column."""

FORGET_AT_ONCE: Final = 20
"""PaperJobs deleted in one tick, so that a lowered history limit does not stall the queue."""

REFUSALS: Final = frozenset({"LaunchRefused", POD_REFUSED})
"""Reasons of a queue that is not Ready."""

CANCELLED_REASON: Final = "Cancelled"
"""Whatever its runs ended with before somebody cancelled the job."""

REMOVED: Final = "the job was removed from its queue"


@dataclass(frozen=True, kw_only=True)
class ActiveRun:
    """An active job beside its run, if that is known."""

    job: ActiveJob
    name: str
    run: Run | None


def active_runs(snapshot: Snapshot) -> dict[str, ActiveRun]:
    """Our active jobs by id."""
    runs = {run.name: run for run in snapshot.runs}
    names = {job.id: (job, run_name(snapshot.settings, job.id, job.claim)) for job in snapshot.state.active if job.ours}
    return {job_id: ActiveRun(job=job, name=name, run=runs.get(name)) for job_id, (job, name) in names.items()}


def active_status(active: ActiveRun, now: int) -> JobStatus | None:
    """The status of a job with a claim; None while there is nothing to say yet. `now` is on the cluster's clock."""
    run = active.run
    if run is None or run.phase is RunPhase.ENDED:
        return None
    if run.phase is RunPhase.PENDING and now - run.created_at < PENDING_SHOWN_AFTER_MS:
        return None
    return JobStatus(
        phase=JobPhase.PENDING if run.phase is RunPhase.PENDING else JobPhase.RUNNING,
        job_id=active.job.id,
        attempt=active.job.attempts_made + 1,
        progress=show_progress(active.job.progress),
        reason=run.waiting_for if run.phase is RunPhase.PENDING else "",
        message=run.waiting_message if run.phase is RunPhase.PENDING else "",
        run=active.name,
        started_at=run.started_at,
    )


def idle_status(view: PaperJobView, state: JobState, last: Run | None, wait: Wait | None) -> JobStatus | None:
    """The status of a job without a claim: it waits, is delayed, or has ended. `last` is its newest known run."""
    if state.phase is None:
        return _removed_status(view, last)
    if state.phase is JobPhase.RUNNING:
        return None
    attempts = state.attempts_made
    status = JobStatus(
        phase=state.phase,
        job_id=view.job_id,
        attempt=attempts or None,
        progress=show_progress(state.progress),
        run=last.name if last else None,
        started_at=last.started_at if last else None,
    )
    if state.phase is JobPhase.COMPLETED:
        result = _json(state.returnvalue)
        return replace(
            status,
            reason="Completed",
            finished_at=state.finished_at,
            result=result if isinstance(result, dict) else None,
        )
    if state.phase is JobPhase.FAILED:
        why = _why_failed(state, last)
        return replace(status, reason=why, message=state.failed_reason, finished_at=state.finished_at)
    if state.phase is JobPhase.DELAYED:
        reason = "Backoff" if state.failed_reason else "Delayed"
        return replace(status, reason=reason, message=state.failed_reason, not_before=state.not_before)
    return _waiting_status(status, wait)


def _waiting_status(status: JobStatus, wait: Wait | None) -> JobStatus:
    if wait is None or wait.reason == "Idle":
        return replace(status, reason="Queued")  # Work flows, or has just arrived: its turn is about to come.
    return replace(status, reason=wait.reason, message=wait.message, not_before=wait.until)


def _why_failed(state: JobState, last: Run | None) -> str:
    if state.failed_reason.startswith(CANCELLED_PREFIX):
        return CANCELLED_REASON
    return last.outcome.reason if last and last.outcome else "Failed"


def _removed_status(view: PaperJobView, last: Run | None) -> JobStatus:
    """Redis no longer knows the job: removeOnComplete, removeOnFail, or somebody's hand. Its run may still tell."""
    outcome = last.outcome if last else None
    ended = last.ended_at if last else None
    base = JobStatus(
        phase=JobPhase.FAILED,
        job_id=view.job_id,
        attempt=last.attempt if last else None,
        run=last.name if last else None,
        started_at=last.started_at if last else None,
        finished_at=ended,
    )
    if outcome is None:
        return replace(base, reason="Removed", message=REMOVED)
    if outcome.kind is OutcomeKind.COMPLETED:
        return replace(base, phase=JobPhase.COMPLETED, reason="Completed", result=outcome.result)
    return replace(base, reason=outcome.reason, message=outcome.message)


def worth_writing(old: JobStatus | None, new: JobStatus, *, progress_due: bool) -> bool:
    """Whether a status says something new. Progress alone counts only when it is due: each write is an API write."""
    if old is None:
        return True
    if progress_due and old.progress != new.progress:
        return True
    return (old.phase, old.attempt, old.reason, old.run, old.not_before) != (
        new.phase,
        new.attempt,
        new.reason,
        new.run,
        new.not_before,
    )


def newest_runs(runs: Sequence[Run]) -> dict[str, Run]:
    """The newest run of each job id."""
    newest: dict[str, Run] = {}
    for run in runs:
        known = newest.get(run.job_id)
        if known is None or (run.created_at, run.claim) > (known.created_at, known.claim):
            newest[run.job_id] = run
    return newest


def past_history(settings: QueueSettings, views: Sequence[PaperJobView], alive: Collection[str]) -> list[PaperJobView]:
    """Finished PaperJobs over the history limits, oldest first, at most `FORGET_AT_ONCE`; never one of a job whose id
    is in `alive`: it lives again, and its run would go with its PaperJob."""
    past: list[PaperJobView] = []
    for phase, keep in ((JobPhase.COMPLETED, settings.keep_completed), (JobPhase.FAILED, settings.keep_failed)):
        ended = [view for view in views if _shows(view, phase) and view.job_id not in alive]
        ended.sort(key=lambda view: view.finished_at or 0)
        past += ended[: max(0, len(ended) - keep)]
    return past[:FORGET_AT_ONCE]


def _shows(view: PaperJobView, phase: JobPhase) -> bool:
    return view.status is not None and view.status.phase is phase


def queue_status(snapshot: Snapshot, occupied: int, wait: Wait | None) -> QueueStatus:
    """What `kubectl get paperqueues` shows."""
    settings, state = snapshot.settings, snapshot.state
    return QueueStatus(
        counts=state.counts,
        live=occupied,
        concurrency=settings.concurrency,
        window_used=state.window_used,
        rate_limit=settings.rate_limit,
        next_start_at=wait.until if wait else None,
        reason=wait.reason if wait else "",
        message=wait.message if wait else "",
        refused=wait is not None and wait.reason in REFUSALS,
        foreign=sum(not job.ours for job in state.active),
    )


def unseen_status(settings: QueueSettings) -> QueueStatus:
    """The status of a queue that was never read yet."""
    return QueueStatus(
        counts=Counts(),
        live=0,
        concurrency=settings.concurrency,
        window_used=0,
        rate_limit=settings.rate_limit,
    )


def outage_status(last: QueueStatus, error: RedisUnavailable | RedisRefused) -> QueueStatus:
    """While Redis cannot be asked: what was seen last, and why nothing starts."""
    return replace(last, reason=type(error).__name__, message=str(error), next_start_at=None)


def show_progress(progress: str | None) -> str | None:
    """BullMQ progress (any JSON) as the PROGRESS column shows it: "40%", "40% text", or the start of the text."""
    value = _json(progress)
    if value is None or value == 0:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:.0f}%"
    if isinstance(value, Mapping) and isinstance(value.get("percent"), (int, float)):
        step = value.get("step")
        return f"{value['percent']:.0f}%{f' {step}' if isinstance(step, str) else ''}"[:PROGRESS_LENGTH]
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:PROGRESS_LENGTH]


def _json(text: str | None) -> Any:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
