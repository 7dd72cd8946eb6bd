"""Anthropic's stand-in: the Messages API with structured output, answered by rules from the text in the prompt.

Speaks the API version of anthropic 2.x: `Authorization: Bearer`, `output_config.format` with a JSON schema, no sampling
parameters, no prefilled assistant turn (platform.claude.com/docs, migration of 2026-10-21).
"""

from __future__ import annotations

import base64
import io
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from paperjobs_standins.exchange import Answer, BadRequestBody, Request
from paperjobs_standins.prompt_cache import PromptCache
from paperjobs_standins.reading.abstract import structured_abstract, wants_abstract
from paperjobs_standins.reading.author_block import read_author_block
from paperjobs_standins.reading.facts import Facts, facts_of
from paperjobs_standins.reading.form import FormError, fill
from paperjobs_standins.reading.prompt import manuscript_in
from paperjobs_standins.reading.tags import chosen_tags, wants_tags

API_KEY = "sk-ant-standin"
CHARACTERS_PER_TOKEN = 4
"""A rough count is enough for usage and max_tokens."""
REQUEST_LIMIT = 32 * 1024 * 1024
"""Bytes; the API answers 413 above (docs: errors, request size limits)."""

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ClaudeStandin:
    """Answers one message at a time; remembers nothing but the prompts that are cached."""

    name = "anthropic"

    def __init__(self, *, api_key: str = API_KEY) -> None:
        self._api_key = api_key
        self._cache = PromptCache(_tokens)

    def env(self, base_url: str) -> dict[str, str]:
        """The address, and the key that this stand-in accepts."""
        return {"ANTHROPIC_BASE_URL": base_url, "ANTHROPIC_API_KEY": self._api_key}

    def failure(self, status: int) -> Answer:
        """Anthropic's error object."""
        return _error(status, f"the stand-in was asked to answer {status}")

    def empty(self) -> Answer:
        """200 without a body."""
        return Answer()

    def answer(self, request: Request) -> Answer:
        """Answer a message or a token count."""
        try:
            if request.headers.get("authorization") != f"Bearer {self._api_key}":
                raise _Refused(401, "invalid bearer token")
            if "anthropic-version" not in request.headers:
                raise _Refused(400, "anthropic-version: header is required")
            if len(request.body) > REQUEST_LIMIT:
                raise _Refused(413, "Request exceeds the maximum allowed number of bytes.")
            if request.method == "POST" and request.path == "/v1/messages":
                return self._message(request.json())
            if request.method == "POST" and request.path == "/v1/messages/count_tokens":
                body = request.json()
                _check(body, needs=("model", "messages"))
                return Answer.json({"input_tokens": _tokens(_everything(body))})
            raise _Refused(404, f"{request.method} {request.path} not found")
        except _Refused as refused:
            return _error(refused.status, str(refused))
        except (BadRequestBody, FormError) as error:
            return _error(400, str(error))

    def _message(self, body: dict[str, Any]) -> Answer:
        _check(body, needs=("model", "max_tokens", "messages"))
        text = _answer(body)
        limit = body["max_tokens"] * CHARACTERS_PER_TOKEN
        bill = self._cache.bill(body, _tokens(_everything(body)))
        usage = {
            "input_tokens": bill.plain,
            "output_tokens": _tokens(text[:limit]),
            "cache_creation_input_tokens": bill.written,
            "cache_read_input_tokens": bill.read,
            "service_tier": "standard",
        }
        content = [{"type": "text", "text": text[:limit]}]
        message = _body(body["model"], content, "end_turn" if len(text) <= limit else "max_tokens", usage)
        return Answer.json(message, headers={"request-id": f"req_{secrets.token_hex(12)}"})


def reply(text: str = "", *, stop_reason: str = "end_turn", category: str | None = None) -> str:
    """The body of a message that the stand-in would not give by itself, for the fault `reply`: a refusal
    (stop reason `refusal`, with a category such as bio), an answer that was cut off (`max_tokens`), or any text."""
    details = {"type": "refusal", "category": category} if stop_reason == "refusal" else None
    content = [{"type": "text", "text": text}] if text else []
    usage = {"input_tokens": 1_000, "output_tokens": _tokens(text)}
    return json.dumps(_body("claude-haiku-5-5", content, stop_reason, usage) | {"stop_details": details})


def _body(model: str, content: list[dict[str, str]], stop_reason: str, usage: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage,
    }


def _check(body: Mapping[str, Any], *, needs: tuple[str, ...]) -> None:
    """Refuse what the API refuses, in its words."""
    for name in needs:
        if name not in body:
            raise _Refused(400, f"{name}: Field required")
    for name in ("temperature", "top_p", "top_k"):
        if name in body:
            raise _Refused(400, f"{name}: Extra inputs are not permitted")
    if body.get("stream"):
        raise _Refused(400, "stream: this stand-in does not stream")
    if not re.fullmatch(r"claude-[a-z]+-\d[\d-]*", str(body["model"])):
        raise _Refused(404, f"model: {body['model']}")
    limit = body.get("max_tokens", 1)
    if type(limit) is not int or limit < 1:
        raise _Refused(400, "max_tokens: Input should be greater than or equal to 1")
    messages = body["messages"]
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise _Refused(400, "messages: at least one message is required")
    if messages[-1].get("role") != "user":
        raise _Refused(400, "messages: the final message must have the role user")


def _schema(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    form = (body.get("output_config") or {}).get("format")
    if form is None:
        return None
    if form.get("type") != "json_schema" or not isinstance(form.get("schema"), dict):
        raise _Refused(400, "output_config.format: expected type json_schema and a schema")
    schema: Mapping[str, Any] = form["schema"]
    for part in _parts(schema):
        if part.get("type") == "object" and part.get("additionalProperties") is not False:
            raise _Refused(400, "output_config.format.schema: objects need 'additionalProperties' set to false")
    return schema


def _parts(schema: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from _parts(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _parts(value)


def _answer(body: Mapping[str, Any]) -> str:
    """Read the user's turns; instructions in the system prompt may name the tags without holding a paper."""
    schema = _schema(body)
    turns = [one for one in body["messages"] if one.get("role") == "user"]
    text = "\n".join(part for one in turns for part in _texts(one.get("content")))
    if wants_abstract(schema):
        return json.dumps(structured_abstract(text), ensure_ascii=False)
    if wants_tags(schema):
        return json.dumps(chosen_tags("\n".join(_texts(body.get("system"))), text))
    manuscript = manuscript_in(text)
    facts = facts_of(manuscript, read_author_block(manuscript))
    return json.dumps(fill(schema, facts), ensure_ascii=False) if schema is not None else _prose(facts)


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
        return
    for block in content if isinstance(content, list) else ():
        if block.get("type") == "text":
            yield str(block.get("text", ""))
        elif block.get("type") == "document":
            yield _document(block.get("source") or {})
        else:
            raise _Refused(400, f"messages: this stand-in reads text and documents, not {block.get('type')!r}")


def _document(source: Mapping[str, Any]) -> str:
    if source.get("type") == "text":
        return str(source.get("data", ""))
    if source.get("type") != "base64" or source.get("media_type") != "application/pdf":
        raise _Refused(400, "document.source: this stand-in takes text, or a PDF in base64")
    from pypdf import PdfReader  # here, because it costs 0.4 s that no text-only caller should pay
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(io.BytesIO(base64.b64decode(source.get("data", ""), validate=True)))
        pages = [page.extract_text() for page in reader.pages]
    except (PyPdfError, ValueError) as error:
        raise _Refused(400, "document.source: The PDF specified was not valid.") from error
    return "<paper>" + "".join(f"<page>{page}</page>" for page in pages) + "</paper>"


def _prose(facts: Facts) -> str:
    """Without a schema: a sentence per institution."""
    if not facts.institutions:
        return "The text names no affiliations."
    names = [author.name for author in facts.authors]
    return "\n".join(f"{one.name}: {', '.join(names[index] for index in one.authors)}" for one in facts.institutions)


def _everything(body: Mapping[str, Any]) -> str:
    return json.dumps([body.get("system"), body.get("messages"), body.get("output_config")], ensure_ascii=False)


def _tokens(text: str) -> int:
    return max(1, -(-len(text) // CHARACTERS_PER_TOKEN))


def _error(status: int, message: str) -> Answer:
    kind = _ERROR_TYPES.get(status, "api_error")
    request_id = f"req_{secrets.token_hex(12)}"
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}
    return Answer.json(body, status=status, headers={"request-id": request_id})
