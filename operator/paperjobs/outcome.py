"""What a run's exit code and termination message mean for its job: one reading for pods and local processes.

The exit code decides (`contract.ExitCode`); the message only adds detail, and a message that is not a report adds
none: it may be a traceback or a foreign program's output, which never belongs in a failedReason.
"""

from __future__ import annotations

from typing import Final

from paperjobs.model import Outcome, OutcomeKind
from paperjobs_runner.contract import ExitCode, Report

SIGNAL_BASE: Final = 128
"""A process that a signal ended has the exit code 128 + signal (POSIX shells and container runtimes)."""

_SIGNALS: Final = {
    4: "an illegal instruction (SIGILL)",
    6: "an abort (SIGABRT)",
    9: "SIGKILL, as when memory runs out",
    11: "a crash of the interpreter (SIGSEGV)",
}


def outcome_of(exit_code: int, message: str) -> Outcome:
    """The outcome of a run that ended by itself. `exit_code` is 0 to 255, `message` the termination message or ""."""
    report = Report.decode(message) or Report()
    match exit_code:
        case ExitCode.DONE:
            return Outcome(kind=OutcomeKind.COMPLETED, reason="Completed", result=report.result)
        case ExitCode.NEVER_AGAIN:
            return Outcome(
                kind=OutcomeKind.NEVER,
                reason=report.error_type or "NeverAgain",
                message=report.message or "the run says that this job can never succeed, and not why",
            )
        case ExitCode.RATE_LIMITED:
            return Outcome(
                kind=OutcomeKind.RATE_LIMITED,
                reason="RateLimited",
                message=report.message or "an external service asks to wait",
                retry_after_ms=report.retry_after_ms,
                budget=report.budget,
                budget_held=report.budget_held,
            )
        case ExitCode.INTERRUPTED:
            return Outcome(
                kind=OutcomeKind.DISRUPTED,
                reason="Interrupted",
                message=report.message or "the run was asked to stop before it was done",
            )
        case ExitCode.TRY_AGAIN:
            return Outcome(
                kind=OutcomeKind.FAILED,
                reason=report.error_type or "TryAgain",
                message=report.message or "the run failed and did not say why",
            )
        case _:
            return Outcome(
                kind=OutcomeKind.FAILED,
                reason=report.error_type or "Crashed",
                message=report.message or f"the run ended without a report: {_ending(exit_code)}; its log says more",
            )


def deadline_exceeded(timeout_s: int) -> Outcome:
    """The outcome of a run that was ended because it ran longer than its queue allows; counts as an attempt."""
    return Outcome(
        kind=OutcomeKind.FAILED,
        reason="DeadlineExceeded",
        message=f"the run was ended after {timeout_s} s, its queue's timeout; if it needs longer, raise spec.timeout",
    )


def _ending(exit_code: int) -> str:
    signal = exit_code - SIGNAL_BASE
    return f"ended by {_SIGNALS[signal]}" if signal in _SIGNALS else f"exit code {exit_code}"
