"""How a run ends for each kind of error."""

import pytest

from paperjobs_runner import errors
from paperjobs_runner.contract import ContractError, ExitCode
from paperjobs_runner.interrupt import Interrupted, OutOfTime


@pytest.mark.parametrize(
    ("error", "code", "error_type"),
    [
        (errors.PayloadInvalid("paperId: missing"), ExitCode.NEVER_AGAIN, "PayloadInvalid"),
        (errors.PaperUnknown("no such paper"), ExitCode.NEVER_AGAIN, "PaperUnknown"),
        (errors.ServiceFailed("arXiv failed"), ExitCode.TRY_AGAIN, "ServiceFailed"),
        (errors.SettingsInvalid("wrong"), ExitCode.TRY_AGAIN, "SettingsInvalid"),  # the job is not to blame
        (errors.RateLimited("wait", retry_after_ms=5000), ExitCode.RATE_LIMITED, "RateLimited"),
        (ContractError("not set: X"), ExitCode.TRY_AGAIN, "ContractError"),
        (errors.Superseded(), ExitCode.INTERRUPTED, "Superseded"),  # the newer run of the claim keeps its attempt
        (Interrupted(), ExitCode.INTERRUPTED, "Interrupted"),
        (OutOfTime(), ExitCode.TRY_AGAIN, "DeadlineExceeded"),
        (KeyError("x"), ExitCode.TRY_AGAIN, "KeyError"),
        (MemoryError(), ExitCode.TRY_AGAIN, "MemoryError"),
    ],
)
def test_each_error_has_its_exit_code(error: BaseException, code: ExitCode, error_type: str) -> None:
    ended, report = errors.ending(error, step="s")
    assert (ended, report.error_type) == (code, error_type)
    assert report.message


def test_the_text_of_an_unexpected_error_is_not_shown() -> None:
    _, report = errors.ending(RuntimeError("https://s3/x?X-Amz-Signature=abc"), step="storing")
    assert report.message == "unexpected RuntimeError in step 'storing'; the run's log has the details"


def test_a_service_cannot_hold_a_queue_for_longer_than_an_hour() -> None:
    _, report = errors.ending(errors.RateLimited("wait", retry_after_ms=10**9), step="s")
    assert report.retry_after_ms == 3_600_000


def test_the_docstring_is_the_default_message() -> None:
    assert errors.Superseded().message == "A newer run of the same job has begun; this one changes nothing."
