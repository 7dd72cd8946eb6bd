"""One request to the Messages API: how a question is laid out, and the call itself.

    system (cached) ▶ paper (cached) ▶ question ▶ [the answer that was not accepted ▶ why]

What stays the same comes first, so that a second question about the same paper reads it from Anthropic's cache, at a
tenth of the price. A cached prefix belongs to one form: another form makes the cache of the same paper worthless.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel

from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import ServiceFailed
from paperjobs_runner.services.claude_errors import translated
from paperjobs_runner.settings import ClaudeSettings
from paperjobs_runner.textclean import storable

if TYPE_CHECKING:
    import anthropic

API: Final = "https://api.anthropic.com"
CALL_S: Final = 180.0
"""Seconds for one answer; a page of text takes about 10."""
COUNT_S: Final = 30.0
"""Seconds for counting the tokens of a question."""
CONNECT_S: Final = 10.0
"""Seconds for a connection to be made."""

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

    with translated(), _client(settings) as client:
        message = client.messages.create(
            model=settings.model,
            max_tokens=question.max_tokens,
            **_prompt(question, rejected),
            timeout=_patience(CALL_S, deadline),  # given, or the SDK raises ValueError for long answers
        )
    if not isinstance(message, anthropic.types.Message):  # the SDK passes a page in HTML on as text
        raise ServiceFailed("Claude's answer cannot be read (not a message)")
    return message


def count(question: Question[Any], settings: ClaudeSettings, deadline: Deadline) -> int:
    """How many tokens the question is; raises as `create` does."""
    import anthropic

    with translated(), _client(settings) as client:
        counted = client.messages.count_tokens(
            model=settings.model, **_prompt(question, None), timeout=_patience(COUNT_S, deadline)
        )
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


@contextmanager
def _client(settings: ClaudeSettings) -> Iterator[anthropic.Anthropic]:
    import anthropic

    # Headers meant for another program on this machine; the SDK would add them to ours, the Authorization included.
    os.environ.pop("ANTHROPIC_CUSTOM_HEADERS", None)
    with anthropic.Anthropic(
        api_key=settings.api_key,
        base_url=settings.base_url or API,  # given, or the SDK takes an empty ANTHROPIC_BASE_URL for an address
        max_retries=0,
        open_telemetry=False,
        http_client=anthropic.DefaultHttpxClient(follow_redirects=False),  # a paper goes to no other address
    ) as client:
        yield client


def _patience(seconds: float, deadline: Deadline) -> anthropic.Timeout:
    import anthropic

    limit = deadline.limit(seconds)
    return anthropic.Timeout(limit, connect=min(CONNECT_S, limit))
