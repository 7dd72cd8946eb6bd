"""What the Anthropic SDK raises, in the words of `errors.py`. Its texts may hold a prompt, and are never passed on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from paperjobs_runner.errors import AnswerTooLong, RateLimited, RunnerError, ServiceFailed, ServiceRefused
from paperjobs_runner.services.patience import retry_after_ms

BACKOFF_S: Final = 30.0
"""Seconds to wait after a 429 or 529 that does not say how long."""
SPENT_S: Final = 900.0
"""Seconds to wait when a spend limit is reached: it needs a person."""

_REMEDIES: Final = {
    401: "the key in ANTHROPIC_API_KEY is not valid",
    402: "the Anthropic account is out of credit",
    403: "the key in ANTHROPIC_API_KEY has no permission",
    404: "there is no such model; correct ANTHROPIC_MODEL",
}


@contextmanager
def translated() -> Iterator[None]:
    """Raise our own errors for those of the SDK."""
    import anthropic

    try:
        yield
    except anthropic.APIStatusError as error:
        retry_after = error.response.headers.get("retry-after")
        raise _refusal(error.status_code, type(error).__name__, retry_after, str(error)) from None
    except anthropic.APITimeoutError:
        raise ServiceFailed("Claude did not answer in time") from None
    except anthropic.APIConnectionError:
        raise ServiceFailed("Claude cannot be reached") from None
    except (anthropic.AnthropicError, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ServiceFailed(f"Claude's answer cannot be read ({type(error).__name__})") from None


def _refusal(status: int, kind: str, retry_after: str | None, text: str) -> RunnerError:
    # The API says 413 of a request's bytes, and 400 of more tokens than the model takes.
    if status == 413 or (status == 400 and "prompt is too long" in text.lower()):
        return AnswerTooLong(f"the paper's text is too long for Claude ({status})", stop_reason="prompt_too_long")
    if status in (429, 529) or (status == 503 and retry_after is not None):
        spent = "SpendLimit" in kind
        wait = retry_after_ms(retry_after, default_s=SPENT_S if spent else BACKOFF_S)
        reason = "its spend limit is reached" if spent else str(status)
        return RateLimited(f"Claude asks to wait {wait / 1000:.0f} s ({reason})", retry_after_ms=wait)
    if 300 <= status < 400:
        return ServiceRefused(f"Claude's address sends us elsewhere ({status}); correct ANTHROPIC_BASE_URL")
    if status in (408, 409) or status >= 500:
        return ServiceFailed(f"Claude failed with status {status}")
    return ServiceRefused(f"Claude refuses the request ({status}): {_REMEDIES.get(status, kind)}")
