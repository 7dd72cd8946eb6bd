"""One request to the Messages API: how a question is laid out, and the call itself.

    system (cached) ▶ paper (cached) ▶ question ▶ [the answer that was not accepted ▶ why]

What stays the same comes first, so that a second question about the same paper reads it from Anthropic's cache, at a
tenth of the price. A cached prefix belongs to one form: another form makes the cache of the same paper worthless.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel

from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import ServiceFailed
from paperjobs_runner.services.claude_errors import translated
from paperjobs_runner.settings import ClaudeSettings
from paperjobs_runner.textclean import storable

CALL_S: Final = 180.0
"""Seconds for one answer; a page of text takes about 10."""
COUNT_S: Final = 30.0
"""Seconds for counting the tokens of a question."""

Effort = Literal["low", "medium", "high"]
AnswerT = TypeVar("AnswerT", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Question(Generic[AnswerT]):
    """What is asked, and the form of the answer."""

    system: str
    paper: str | None
    """Quoted text that several questions share."""
    question: str
    form: type[AnswerT]
    max_tokens: int
    effort: Effort


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """An answer that was not accepted, and why: the second try is told both."""

    text: str
    reason: str


def create(question: Question[Any], rejected: Rejected | None, settings: ClaudeSettings, deadline: Deadline) -> Any:
    """The SDK's message; raises ServiceFailed, ServiceRefused, RateLimited or AnswerTooLong."""
    import anthropic

    from paperjobs_runner.services.claude_http import open_client

    limit = deadline.limit(CALL_S)
    with translated(), open_client(settings, seconds=limit) as client:
        message = client.messages.create(
            model=settings.model, max_tokens=question.max_tokens, **_prompt(question, rejected)
        )
    if not isinstance(message, anthropic.types.Message):  # the SDK passes a page in HTML on as text
        raise ServiceFailed("Claude's answer cannot be read (not a message)")
    return message


def count(question: Question[Any], settings: ClaudeSettings, deadline: Deadline) -> int:
    """How many tokens the question is; raises as `create` does."""
    import anthropic

    from paperjobs_runner.services.claude_http import open_client

    limit = deadline.limit(COUNT_S)
    with translated(), open_client(settings, seconds=limit) as client:
        counted = client.messages.count_tokens(model=settings.model, **_prompt(question, None))
    tokens = counted.input_tokens if isinstance(counted, anthropic.types.MessageTokensCount) else None
    if not isinstance(tokens, int):
        raise ServiceFailed("Claude's answer cannot be read (not a number of tokens)")
    return tokens


def _prompt(question: Question[Any], rejected: Rejected | None) -> dict[str, Any]:
    import anthropic

    content = [_cached(question.paper)] if question.paper else []
    messages: list[dict[str, Any]] = [{"role": "user", "content": [*content, _text(question.question)]}]
    if rejected is not None:
        told = f"This answer cannot be used: {rejected.reason}\nAnswer the same question again, in full."
        if storable(rejected.text).strip():  # the API refuses empty turns
            messages.append({"role": "assistant", "content": [_text(rejected.text)]})
            messages.append({"role": "user", "content": [_text(told)]})
        else:
            messages[0]["content"].append(_text("Your first answer was empty. Answer in the agreed form."))
    schema = anthropic.transform_schema(question.form)
    return {
        "system": [_cached(question.system)],
        "messages": messages,
        "output_config": {"effort": question.effort, "format": {"type": "json_schema", "schema": schema}},
    }


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": storable(text)}  # half a character cannot be sent


def _cached(text: str) -> dict[str, Any]:
    return _text(text) | {"cache_control": {"type": "ephemeral"}}
