"""One run, from the environment to the exit code and the termination message.

    assignment ▶ pipeline known? ▶ settings ▶ payload ▶ pipeline ▶ report

Whatever happens in between, a report is written and one of the contract's exit codes is returned.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from paperjobs_runner import interrupt
from paperjobs_runner.contract import DEFAULT_TERMINATION_LOG, TERMINATION_LOG, Assignment, ExitCode, Report
from paperjobs_runner.errors import Superseded, ending
from paperjobs_runner.jsonlog import RunLog
from paperjobs_runner.redaction import Redactor

REPORT_RESERVE_S: Final = 5.0
"""Seconds kept back from the time limit, so that a run that is too slow can still say so itself."""

_log = logging.getLogger(__name__)


def run(env: Mapping[str, str]) -> ExitCode:
    """Do what the environment assigns; returns the exit code after the termination message is written."""
    log = RunLog()
    try:
        interrupt.arm()
        result = _work(env, log)
        interrupt.disarm()
        code, report = ExitCode.DONE, Report(result=result)
    except BaseException as error:  # every end is reported, a SIGTERM and a bug included
        interrupt.disarm()
        code, report = ending(error, step=log.step)
        expected = code is not ExitCode.TRY_AGAIN or report.error_type == "DeadlineExceeded"
        _log.error("the run failed", exc_info=None if expected else error, extra={"error": report.error_type})
    _write_report(env, _redacted(report, Redactor(_secrets(env))))
    return code


def _work(env: Mapping[str, str], log: RunLog) -> Mapping[str, Any]:
    assignment = Assignment.from_env(env)
    log.know(_identity(assignment))
    redact = Redactor(_secrets(env))
    log.hide(redact)
    seconds = max(1.0, assignment.timeout_seconds - REPORT_RESERVE_S)
    interrupt.alarm_after(seconds)

    from paperjobs_runner.deadline import Deadline
    from paperjobs_runner.pipelines import check_pipeline, load_pipeline
    from paperjobs_runner.pipelines.context import RunContext
    from paperjobs_runner.services.budgets import Budgets
    from paperjobs_runner.services.bullmq_job import read_job
    from paperjobs_runner.services.progress import Progress
    from paperjobs_runner.settings import read_settings

    deadline = Deadline.after(seconds)
    check_pipeline(assignment.pipeline)
    settings = read_settings(env)
    job = read_job(assignment, settings.redis)
    with (
        tempfile.TemporaryDirectory(prefix="paperjobs-") as folder,
        contextlib.closing(Progress(assignment, settings.redis, redact)) as progress,
        contextlib.closing(Budgets(assignment, settings.redis, deadline)) as budgets,
    ):
        context = RunContext(
            assignment=assignment,
            payload=job.data,
            confirmed_at=job.confirmed_at,
            settings=settings,
            deadline=deadline,
            budgets=budgets,
            progress=progress,
            log=log,
            folder=Path(folder),
        )
        with log.mirrored(progress.log):
            try:
                return load_pipeline(assignment.pipeline).run(context)
            except Superseded:  # the job is another run's now
                raise
            except BaseException as error:
                # At most two of Redis' time limits, of the seconds that are kept back for the report.
                progress.log(f"failed: {ending(error, step=log.step)[1].message}")
                raise


def _identity(assignment: Assignment) -> Mapping[str, Any]:
    """What every line of the log carries."""
    return {
        "queue": assignment.queue,
        "job": assignment.job_id,
        "run": assignment.run,
        "attempt": assignment.attempt,
        "step": "start",
    }


def _secrets(env: Mapping[str, str]) -> tuple[str, ...]:
    from paperjobs_runner.settings import secrets_in

    return secrets_in(env)


def _redacted(report: Report, redact: Redactor) -> Report:
    if report.message is None:
        return report
    return replace(report, message=redact(report.message))


def _write_report(env: Mapping[str, str], report: Report) -> None:
    path = env.get(TERMINATION_LOG) or DEFAULT_TERMINATION_LOG
    extra = (
        {"errorType": report.error_type, "reason": report.message} if report.error_type else {"result": report.result}
    )
    _log.info("the run has ended", extra=extra)
    try:
        Path(path).write_bytes(report.encode())
    except OSError as error:
        _log.error("the termination message cannot be written", extra={"path": path, "error": type(error).__name__})
    sys.stdout.flush()
