"""What people are shown, decided from what is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paperjobs.engine.decide import Wait
from paperjobs.engine.report import (
    FORGET_AT_ONCE,
    ActiveRun,
    active_status,
    idle_status,
    newest_runs,
    past_history,
    show_progress,
    worth_writing,
)
from paperjobs.model import (
    ActiveJob,
    Claim,
    JobPhase,
    JobState,
    JobStatus,
    LockState,
    Outcome,
    OutcomeKind,
    PaperJobView,
    QueueSettings,
    Run,
    RunPhase,
)

NOW = 1_000_000
SETTINGS = QueueSettings(name="q", queue="q", pipeline="p", concurrency=1, keep_completed=1, keep_failed=0)
JOB = ActiveJob(
    id="7",
    claim=Claim(number=2, token="t"),
    lock=LockState.OURS,
    launched=True,
    attempts_made=1,
    progress='{"percent":40,"step":"text"}',
)
RUN = Run(name="q-1", job_id="7", claim=2, attempt=2, phase=RunPhase.RUNNING, created_at=NOW - 9000, started_at=NOW)
VIEW = PaperJobView(name="q-7", job_id="7", made_by_hand=False)
FAILED = Outcome(kind=OutcomeKind.FAILED, reason="OOMKilled", message="needs more memory")


def _active(run: Run | None) -> JobStatus | None:
    return active_status(ActiveRun(job=JOB, name="q-1", run=run), NOW)


def test_a_running_job_shows_its_attempt_run_and_progress() -> None:
    status = _active(RUN)
    assert status is not None
    assert (status.phase, status.attempt, status.progress, status.run) == (JobPhase.RUNNING, 2, "40% text", "q-1")


def test_a_pending_pod_is_shown_with_its_reason_only_when_it_stays_pending() -> None:
    pending = replace(RUN, phase=RunPhase.PENDING, waiting_for="Unschedulable")
    status = _active(pending)
    assert status is not None
    assert (status.phase, status.reason) == (JobPhase.PENDING, "Unschedulable")
    assert _active(replace(pending, created_at=NOW - 100)) is None


def test_nothing_is_said_between_a_run_s_end_and_its_settlement() -> None:
    assert _active(replace(RUN, phase=RunPhase.ENDED, outcome=FAILED)) is None
    assert _active(None) is None


@pytest.mark.parametrize(
    ("state", "last", "wait", "phase", "reason"),
    [
        (JobState(phase=JobPhase.WAITING), None, None, JobPhase.WAITING, "Queued"),
        (JobState(phase=JobPhase.WAITING), None, Wait(reason="Paused"), JobPhase.WAITING, "Paused"),
        (JobState(phase=JobPhase.WAITING), None, Wait(reason="WindowFull"), JobPhase.WAITING, "WindowFull"),
        # The queue was idle until the job came.
        (JobState(phase=JobPhase.WAITING), None, Wait(reason="Idle"), JobPhase.WAITING, "Queued"),
        (JobState(phase=JobPhase.DELAYED, not_before=5), None, None, JobPhase.DELAYED, "Delayed"),
        (JobState(phase=JobPhase.DELAYED, failed_reason="x"), RUN, None, JobPhase.DELAYED, "Backoff"),
        (JobState(phase=JobPhase.COMPLETED, returnvalue="{}"), RUN, None, JobPhase.COMPLETED, "Completed"),
        (
            JobState(phase=JobPhase.FAILED, failed_reason="needs more memory"),
            replace(RUN, phase=RunPhase.ENDED, outcome=FAILED),
            None,
            JobPhase.FAILED,
            "OOMKilled",
        ),
        # Cancelled before its next attempt: that is how it ended, whatever its last run says.
        (
            JobState(phase=JobPhase.FAILED, failed_reason="cancelled: no longer needed"),
            replace(RUN, phase=RunPhase.ENDED, outcome=FAILED),
            None,
            JobPhase.FAILED,
            "Cancelled",
        ),
        # removeOnComplete: the run still tells how the job ended.
        (
            JobState(phase=None),
            replace(RUN, phase=RunPhase.ENDED, outcome=Outcome(kind=OutcomeKind.COMPLETED, reason="Completed")),
            None,
            JobPhase.COMPLETED,
            "Completed",
        ),
        (JobState(phase=None), None, None, JobPhase.FAILED, "Removed"),
    ],
)
def test_a_job_without_a_claim(
    state: JobState, last: Run | None, wait: Wait | None, phase: JobPhase, reason: str
) -> None:
    status = idle_status(VIEW, state, last, wait)
    assert status is not None
    assert (status.phase, status.reason) == (phase, reason)


def test_a_job_that_waits_says_when_its_queue_may_start_one_again() -> None:
    wait = Wait(reason="WindowFull", message="10 starts used", until=99)
    status = idle_status(VIEW, JobState(phase=JobPhase.WAITING), None, wait)
    assert status is not None
    assert (status.reason, status.message, status.not_before) == ("WindowFull", "10 starts used", 99)


def test_a_status_is_written_when_it_says_something_new_and_progress_only_when_due() -> None:
    status = JobStatus(phase=JobPhase.RUNNING, job_id="7", progress="10%")
    assert worth_writing(None, status, progress_due=False)
    assert not worth_writing(status, replace(status, started_at=5), progress_due=True)
    assert not worth_writing(status, replace(status, progress="20%"), progress_due=False)
    assert worth_writing(status, replace(status, progress="20%"), progress_due=True)
    assert worth_writing(status, replace(status, phase=JobPhase.COMPLETED), progress_due=False)


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        (None, None),
        ("0", None),  # npm stores 0 with every new job
        ("40", "40%"),
        ('{"percent":40,"step":"text"}', "40% text"),
        ('"reading"', "reading"),
        ('{"pages":3}', '{"pages": 3}'),
        ("not json", None),
        ('"' + "x" * 99 + '"', "x" * 40),
    ],
)
def test_progress_of_any_shape_fits_its_column(progress: str | None, shown: str | None) -> None:
    assert show_progress(progress) == shown


def _finished(number: int, phase: JobPhase) -> PaperJobView:
    status = JobStatus(phase=phase, job_id=str(number))
    return replace(VIEW, name=f"q-{number}", job_id=str(number), status=status, finished_at=number)


def test_history_keeps_the_newest_of_each_kind_and_whatever_lives() -> None:
    views = [_finished(number, JobPhase.COMPLETED) for number in (3, 1, 2)] + [_finished(9, JobPhase.FAILED), VIEW]
    assert [view.job_id for view in past_history(SETTINGS, views, ())] == ["1", "2", "9"]
    assert [view.job_id for view in past_history(SETTINGS, views, {"1", "9"})] == ["2"]
    many = [_finished(number, JobPhase.FAILED) for number in range(100)]
    assert len(past_history(SETTINGS, many, ())) == FORGET_AT_ONCE


def test_the_newest_run_of_a_job_is_the_one_that_tells() -> None:
    older = replace(RUN, name="q-0", claim=1, created_at=NOW - 99_000)
    assert newest_runs([older, RUN]) == newest_runs([RUN, older]) == {"7": RUN}
