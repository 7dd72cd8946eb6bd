"""The exit code decides what a run's end means; a report adds detail, anything else adds nothing."""

from __future__ import annotations

import pytest

from paperjobs.model import OutcomeKind
from paperjobs.outcome import deadline_exceeded, outcome_of
from paperjobs_runner.contract import ExitCode, Report


@pytest.mark.parametrize(
    ("exit_code", "kind", "reason"),
    [
        (ExitCode.DONE, OutcomeKind.COMPLETED, "Completed"),
        (ExitCode.NEVER_AGAIN, OutcomeKind.NEVER, "PaperNotFound"),
        # The class of the error is of no interest for these two: they say what happens to the job.
        (ExitCode.RATE_LIMITED, OutcomeKind.RATE_LIMITED, "RateLimited"),
        (ExitCode.INTERRUPTED, OutcomeKind.DISRUPTED, "Interrupted"),
        (ExitCode.TRY_AGAIN, OutcomeKind.FAILED, "PaperNotFound"),
        # An exit code that is not in the table is a crash: it counts as an attempt.
        (1, OutcomeKind.FAILED, "PaperNotFound"),
    ],
)
def test_the_exit_code_decides_and_the_report_gives_the_reason(exit_code: int, kind: OutcomeKind, reason: str) -> None:
    message = Report(error_type="PaperNotFound", message="arXiv has no paper 9901.00001").encode().decode()

    outcome = outcome_of(exit_code, message)

    assert (outcome.kind, outcome.reason) == (kind, reason)


def test_a_completed_run_hands_its_result_back() -> None:
    message = Report(result={"institutions": 3}).encode().decode()

    assert outcome_of(0, message).result == {"institutions": 3}


def test_a_rate_limited_run_says_how_long_to_wait() -> None:
    message = Report(message="arXiv answered 429", retry_after_ms=30_000).encode().decode()

    outcome = outcome_of(69, message)

    assert (outcome.retry_after_ms, outcome.message) == (30_000, "arXiv answered 429")


@pytest.mark.parametrize("message", ["", "Traceback: password=hunter2", '["not", "a report"]', "null"])
@pytest.mark.parametrize("exit_code", [1, 65, 69, 75, 137, 143])
def test_what_is_not_a_report_never_reaches_the_job_but_a_sentence_does(exit_code: int, message: str) -> None:
    outcome = outcome_of(exit_code, message)

    assert outcome.message
    assert outcome.reason
    assert "hunter2" not in outcome.message


def test_a_run_that_was_killed_says_by_what() -> None:
    assert "SIGKILL" in outcome_of(137, "").message
    assert "exit code 3" in outcome_of(3, "").message


def test_a_run_that_outlived_its_deadline_fails_as_an_attempt() -> None:
    outcome = deadline_exceeded(600)

    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "DeadlineExceeded")
    assert "600 s" in outcome.message
