"""Everything a run can fail with, in one tree, and the one place where an error becomes an exit code and a report.

The branch decides what happens to the job: `Permanent` (never again), `Temporary` (counts as an attempt),
`RateLimited` and `Superseded` (no attempt is lost). Messages are written for the person who queued the job; they are
made of our own words and the job's own values, never of a library's text, which may hold a secret.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from paperjobs_runner.contract import ContractError, ExitCode, Report
from paperjobs_runner.interrupt import Interrupted, OutOfTime

if TYPE_CHECKING:
    from paperjobs_runner.services.claude_usage import Usage

RETRY_AFTER_CAP_MS: Final = 3_600_000
"""Milliseconds: the longest hold a service can cause. A mistaken Retry-After must not stop a queue for a day."""


class RunnerError(Exception):
    """The run failed."""

    exit_code: ExitCode = ExitCode.TRY_AGAIN

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())

    @property
    def message(self) -> str:
        """One sentence for the person who queued the job."""
        return str(self.args[0])


class Permanent(RunnerError):
    """The job can never succeed as it is."""

    exit_code = ExitCode.NEVER_AGAIN


class PayloadInvalid(Permanent):
    """The job's data is not what this pipeline needs."""


class PipelineUnknown(Permanent):
    """No pipeline of that name is built."""


class VocabularyInvalid(Permanent):
    """The vocabulary file is wrong; the message lists every wrong line."""


class PaperUnknown(Permanent):
    """arXiv knows no such paper."""


class PaperWithdrawn(Permanent):
    """The paper was withdrawn; this version has no PDF."""


class PaperUnavailable(Permanent):
    """arXiv has no PDF of this paper."""


class PaperUnreadable(Permanent):
    """No text can be taken out of the paper's PDF."""


class AnswerRefused(Permanent):
    """Claude declined to read this paper."""

    outcome = "refused"
    """How the run that ends well all the same calls it (`Provenance.outcome`)."""
    usage: Usage | None = None
    """What it cost all the same."""


class AnswerTooLong(Permanent):
    """Claude's answer did not fit."""

    outcome = "truncated"
    usage: Usage | None = None

    def __init__(self, message: str = "", *, stop_reason: str = "max_tokens") -> None:
        super().__init__(message)
        self.stop_reason = stop_reason
        """max_tokens, model_context_window_exceeded, or prompt_too_long when Claude did not even begin."""


class Temporary(RunnerError):
    """Something failed that may work next time."""


class SettingsInvalid(Temporary):
    """The runner is not set up; the message lists every setting that is wrong."""


class ServiceFailed(Temporary):
    """An external service failed in a way that often passes within seconds; worth trying again within the run."""


class ServiceRefused(Temporary):
    """An external service refused us (credentials, permissions, settings); trying again at once is pointless."""


class AnswerInvalid(Temporary):
    """Claude's answer did not have the agreed form."""

    def __init__(self, message: str = "", *, usage: Usage | None = None) -> None:
        super().__init__(message)
        self.usage = usage


class DatabaseUnavailable(ServiceFailed):
    """The database cannot be used right now."""


class JobUnavailable(Temporary):
    """The job's data cannot be read from Redis."""


class Superseded(RunnerError):
    """A newer run of the same job has begun; this one changes nothing."""

    # Kubernetes may rarely start a Job's pod twice: the older pod must not cost the newer one's claim an attempt.
    exit_code = ExitCode.INTERRUPTED


class RateLimited(RunnerError):
    """An external service asks to wait."""

    exit_code = ExitCode.RATE_LIMITED

    def __init__(self, message: str, *, retry_after_ms: int) -> None:
        super().__init__(message)
        self.retry_after_ms = max(0, min(retry_after_ms, RETRY_AFTER_CAP_MS))
        self.budget: str | None = None
        """The budget that is to be held for that long."""
        self.budget_held = False
        """It is, so that nobody else has to."""


class BudgetSpent(RateLimited):
    """The budget of an external service has no turn for this run soon enough."""


def ending(error: BaseException, *, step: str) -> tuple[ExitCode, Report]:
    """How a run that raised `error` in `step` ends. An error that is not ours is a bug: its text stays in the log."""
    if isinstance(error, RunnerError):
        report = Report(error_type=type(error).__name__, message=error.message)
        if isinstance(error, RateLimited):
            report = replace(
                report, retry_after_ms=error.retry_after_ms, budget=error.budget, budget_held=error.budget_held
            )
        return error.exit_code, report
    if isinstance(error, Interrupted | KeyboardInterrupt):
        message = f"the run was asked to stop in step {step!r}; it will be started again"
        return ExitCode.INTERRUPTED, Report(error_type="Interrupted", message=message)
    if isinstance(error, OutOfTime):
        message = f"the run reached its time limit in step {step!r}"
        return ExitCode.TRY_AGAIN, Report(error_type="DeadlineExceeded", message=message)
    if isinstance(error, ContractError):
        return ExitCode.TRY_AGAIN, Report(error_type="ContractError", message=str(error))
    message = f"unexpected {type(error).__name__} in step {step!r}; the run's log has the details"
    return ExitCode.TRY_AGAIN, Report(error_type=type(error).__name__, message=message)
