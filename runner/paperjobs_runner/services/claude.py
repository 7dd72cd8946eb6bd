"""Claude: one question, one answer in an agreed form.

`messages.create` with a JSON schema and our own validation, rather than `parse`: that validates before the stop reason
can be seen, so a truncated answer and a refusal would look alike. The SDK's own retries are off: they obey any
Retry-After, however long.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import (
    AnswerInvalid,
    AnswerRefused,
    AnswerTooLong,
    RateLimited,
    RunnerError,
    ServiceFailed,
    ServiceRefused,
)
from paperjobs_runner.services.allowance import NO_BUDGETS, UNLIMITED, Allowances
from paperjobs_runner.services.patience import retry_after_ms, with_patience
from paperjobs_runner.settings import ClaudeSettings

CALL_S: Final = 180.0
"""Seconds for one answer; a page of text takes about 10."""
MAX_TOKENS: Final = 16_000
"""Tokens of an answer, thinking included; two hundred authors need about 8,000."""
BACKOFF_S: Final = 30.0
"""Seconds to wait after a 429 or 529 that does not say how long."""
SPENT_S: Final = 900.0
"""Seconds to wait when a spend limit is reached: it needs a person."""

_Answer = TypeVar("_Answer", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class ClaudeAnswer(Generic[_Answer]):
    """A validated answer, and what it cost."""

    value: _Answer
    model: str
    input_tokens: int
    output_tokens: int


def ask(
    *,
    system: str,
    question: str,
    form: type[_Answer],
    settings: ClaudeSettings,
    deadline: Deadline,
    budgets: Allowances = NO_BUDGETS,
) -> ClaudeAnswer[_Answer]:
    """Ask once, with patience; a second time when the answer does not have the form."""
    allowance = budgets.of("anthropic", UNLIMITED)

    def call() -> Any:
        allowance.draw()
        return _create(system, question, form, settings, deadline)

    def attempt() -> ClaudeAnswer[_Answer]:
        return _read(with_patience(call, deadline=deadline, allowance=allowance), form)

    try:
        return attempt()
    except AnswerInvalid:
        return attempt()


def _create(system: str, question: str, form: type[BaseModel], settings: ClaudeSettings, deadline: Deadline) -> Any:
    import anthropic

    client = anthropic.Anthropic(api_key=settings.api_key, base_url=settings.base_url, max_retries=0)
    try:
        with client:
            message = client.messages.create(
                model=settings.model,
                max_tokens=MAX_TOKENS,
                system=system,
                messages=[{"role": "user", "content": question}],
                output_config={
                    "effort": "low",
                    "format": {"type": "json_schema", "schema": anthropic.transform_schema(form)},
                },
                timeout=deadline.limit(CALL_S),
            )
    except anthropic.APIStatusError as error:
        raise _refusal(error.status_code, type(error).__name__, error.response.headers.get("retry-after")) from None
    except anthropic.APITimeoutError:
        raise ServiceFailed("Claude did not answer in time") from None
    except anthropic.APIConnectionError:
        raise ServiceFailed("Claude cannot be reached") from None
    except (anthropic.AnthropicError, json.JSONDecodeError) as error:
        raise ServiceFailed(f"Claude's answer cannot be read ({type(error).__name__})") from None
    if not isinstance(message, anthropic.types.Message):  # the SDK passes a page in HTML on as text
        raise ServiceFailed("Claude's answer cannot be read (not a message)")
    return message


def _refusal(status: int, kind: str, retry_after: str | None) -> RunnerError:
    if status == 413:
        return AnswerTooLong("the paper's first pages are too long for Claude")
    if status in (429, 529) or (status == 503 and retry_after is not None):
        spent = "SpendLimit" in kind
        wait = retry_after_ms(retry_after, default_s=SPENT_S if spent else BACKOFF_S)
        reason = "its spend limit is reached" if spent else str(status)
        return RateLimited(f"Claude asks to wait {wait / 1000:.0f} s ({reason})", retry_after_ms=wait)
    if status in (408, 409) or status >= 500:
        return ServiceFailed(f"Claude failed with status {status}")
    remedies = {
        401: "the key in ANTHROPIC_API_KEY is not valid",
        402: "the Anthropic account is out of credit",
        403: "the key in ANTHROPIC_API_KEY has no permission",
        404: "there is no such model; correct ANTHROPIC_MODEL",
    }
    return ServiceRefused(f"Claude refuses the request ({status}): {remedies.get(status, kind)}")


def _read(message: Any, form: type[_Answer]) -> ClaudeAnswer[_Answer]:
    if message.stop_reason == "refusal":
        category = getattr(message.stop_details, "category", None) or "no category given"
        raise AnswerRefused(f"Claude declined to read this paper ({category})")
    if message.stop_reason in ("max_tokens", "model_context_window_exceeded"):
        raise AnswerTooLong(f"Claude's answer did not fit ({message.stop_reason})")
    text = "".join(block.text for block in message.content or () if block.type == "text")
    try:
        value = form.model_validate_json(text)
    except ValidationError as error:
        raise AnswerInvalid(f"Claude's answer did not have the agreed form ({error.error_count()} faults)") from None
    return ClaudeAnswer(
        value=value,
        model=str(message.model),
        input_tokens=getattr(message.usage, "input_tokens", None) or 0,
        output_tokens=getattr(message.usage, "output_tokens", None) or 0,
    )
