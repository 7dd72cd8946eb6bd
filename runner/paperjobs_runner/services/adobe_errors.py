"""What Adobe's SDK raises, sorted by what to do about it.

Its exceptions have no common base, and many faults surface as AttributeError, JSONDecodeError or TypeError from inside
the SDK (observed in 4.3.0). Their texts are never used: SdkException's holds presigned URLs with their signature.
"""

from __future__ import annotations

import traceback
from typing import Any, Final

from paperjobs_runner.errors import RateLimited, RunnerError, ServiceFailed, ServiceRefused

WAIT_MS: Final = 60_000
"""Milliseconds to wait after a 429: the SDK hides Retry-After, and Adobe counts requests a minute."""

_FILE_CODES: Final = ("DISQUALIFIED", "BAD_PDF", "PROTECTED_PDF", "BAD_INPUT", "CORRUPT_DOCUMENT", "UNSUPPORTED_MEDIA")


class AdobeCannotRead(Exception):
    """Adobe does not take this file (size, pages, protection …); another reader may."""

    def __init__(self, code: str, *, for_good: bool = True) -> None:
        super().__init__(f"Adobe cannot read this file ({code})")
        self.code = code
        self.for_good = for_good
        """It never will; otherwise it takes no file at present."""


def classify(error: Exception) -> RunnerError | AdobeCannotRead:
    """The error to raise for one that the SDK raised."""
    kind = type(error).__name__
    status = getattr(error, "status_code", None)
    status = status if isinstance(status, int) else 0
    code = getattr(error, "error_code", None)
    code = code[:60] if isinstance(code, str) and code.replace("_", "").isalnum() else ""
    if code.startswith(_FILE_CODES) or status in (413, 415):
        return AdobeCannotRead(code or str(status))
    if kind == "ServiceUsageException" or status == 429:
        if "QUOTA" in code.upper():  # nothing will be read until the month ends
            return AdobeCannotRead(code, for_good=False)
        return _asks_to_wait()
    if _broke_on_429(error):
        return _asks_to_wait()
    # The storage's 403 (OperationException) is an expired link, not our credentials.
    if status in (401, 403) and kind == "ServiceApiException":
        return ServiceRefused(f"Adobe PDF Services refuses our credentials ({status})")
    detail = " ".join(str(part) for part in (kind, status or "", code) if part)
    return ServiceFailed(f"Adobe PDF Services failed ({detail})")


def job_failure(error: Any) -> RunnerError | AdobeCannotRead:
    """The error to raise for a job that ended as failed with this error object."""
    code = error.get("code") if isinstance(error, dict) else None
    code = code[:60] if isinstance(code, str) and code.replace("_", "").isalnum() else "UNKNOWN"
    if code.startswith(_FILE_CODES):
        return AdobeCannotRead(code)
    return ServiceFailed(f"Adobe PDF Services failed (job, {code})")


def _asks_to_wait() -> RateLimited:
    return RateLimited("Adobe PDF Services asks to wait (429)", retry_after_ms=WAIT_MS)


def _broke_on_429(error: Exception) -> bool:
    """The SDK breaks on a 429 in any form but its own (a gateway's, a page) inside the function that reads only those;
    its exception has no status."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code.co_name == "handle_service_usage_failure" for frame, _ in frames)
