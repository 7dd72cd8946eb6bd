"""The anthropic SDK against Claude's stand-in: structured output, usage, refusals, errors."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from pydantic import BaseModel

from paperjobs_standins.papers import pdf_of, sample_papers
from paperjobs_standins.server import Standins

MODEL = "claude-haiku-5-5"
PROMPT = (
    '<authors>\nJane Doe\nJohn Roe\n</authors>\n<paper>\n<page number="1">\nOn rings\nJane Doe{0} and John Roe{1}\n'
    "1Department of Mathematics, University of Leeds, Leeds, UK\n2Kyoto University, Kyoto, Japan\nAbstract\n"
    "</page>\n</paper>"
)


class Institution(BaseModel):
    name: str
    department: str | None
    country: str | None


class Author(BaseModel):
    name: str
    institutions: list[int]


class Reading(BaseModel):
    institutions: list[Institution]
    authors: list[Author]


@pytest.fixture
def client(standins: Standins) -> Iterator[anthropic.Anthropic]:
    del standins  # it has set the environment from which the SDK takes address and key
    with anthropic.Anthropic(max_retries=0, timeout=60) as client:
        yield client


def ask(client: anthropic.Anthropic, content: Any, **options: Any) -> Any:
    schema = {"format": {"type": "json_schema", "schema": anthropic.transform_schema(Reading)}}
    asked = {"model": MODEL, "max_tokens": 4000, "output_config": schema, **options}
    return client.messages.create(messages=[{"role": "user", "content": content}], **asked)


def test_the_requested_form_is_filled_from_the_text_in_the_prompt(client: anthropic.Anthropic) -> None:
    message = ask(client, PROMPT.format(1, 2), system="Read the paper between <paper> and </paper>.")
    reading = Reading.model_validate_json(message.content[0].text)
    assert [one.model_dump() for one in reading.institutions] == [
        {"name": "University of Leeds", "department": "Department of Mathematics", "country": "United Kingdom"},
        {"name": "Kyoto University", "department": None, "country": "Japan"},
    ]
    assert [(one.name, one.institutions) for one in reading.authors] == [("Jane Doe", [0]), ("John Roe", [1])]
    assert (message.stop_reason, message.model) == ("end_turn", MODEL)
    assert message.usage.input_tokens > 50
    assert message.usage.output_tokens > 20


def test_another_text_gives_another_answer(client: anthropic.Anthropic) -> None:
    reading = Reading.model_validate_json(ask(client, PROMPT.format(2, "1,2")).content[0].text)
    assert [(one.name, len(one.institutions)) for one in reading.authors] == [("Jane Doe", 1), ("John Roe", 2)]
    assert reading.institutions[reading.authors[0].institutions[0]].name == "Kyoto University"


def test_parse_gives_the_model_itself(client: anthropic.Anthropic) -> None:
    message = client.messages.parse(
        model=MODEL,
        max_tokens=4000,
        messages=[{"role": "user", "content": PROMPT.format(1, 1)}],
        output_format=Reading,
    )
    assert message.parsed_output is not None
    assert [one.name for one in message.parsed_output.institutions] == ["University of Leeds"]


def test_a_pdf_in_the_prompt_is_read(client: anthropic.Anthropic) -> None:
    paper = next(one for one in sample_papers() if one.arxiv_id == "1512.03385")
    data = base64.b64encode(pdf_of(paper)).decode()
    document = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}}
    authors = "<authors>\n" + "\n".join(paper.listed) + "\n</authors>"
    message = ask(client, [document, {"type": "text", "text": authors}])
    assert [one["name"] for one in json.loads(message.content[0].text)["institutions"]] == ["Microsoft Research"]


def test_an_answer_longer_than_max_tokens_is_cut(client: anthropic.Anthropic) -> None:
    message = ask(client, PROMPT.format(1, 2), max_tokens=5)
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 5
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(message.content[0].text)


def test_tokens_can_be_counted_beforehand(client: anthropic.Anthropic) -> None:
    short, long = (
        client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": text}]).input_tokens
        for text in ("one", "one " * 400)
    )
    assert short < 50
    assert long >= 400


def test_the_key_travels_as_bearer_and_a_wrong_one_is_refused(standins: Standins) -> None:
    with (
        anthropic.Anthropic(api_key="sk-ant-wrong", base_url=standins.anthropic.url, max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError),
    ):
        ask(client, "hello")


@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        ({"model": "gpt-4"}, anthropic.NotFoundError, "model: gpt-4"),
        ({"extra_body": {"temperature": 0}}, anthropic.BadRequestError, "temperature: Extra inputs are not permitted"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}}},
            anthropic.BadRequestError,
            "additionalProperties",
        ),
    ],
)
def test_what_the_api_refuses_is_refused(
    client: anthropic.Anthropic, options: dict[str, Any], error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        ask(client, "hello", **options)


def test_a_rate_limit_tells_how_long_to_wait(standins: Standins, client: anthropic.Anthropic) -> None:
    standins.anthropic.fault("status", status=429, retry_after=17)
    with pytest.raises(anthropic.RateLimitError) as caught:
        ask(client, "hello")
    assert caught.value.response.headers["retry-after"] == "17"
    assert ask(client, "hello").stop_reason == "end_turn"


def test_an_overload_is_told_from_other_server_errors(standins: Standins, client: anthropic.Anthropic) -> None:
    standins.anthropic.fault("status", status=529)
    with pytest.raises(anthropic.InternalServerError) as caught:
        ask(client, "hello")
    assert (caught.value.status_code, caught.value.type) == (529, "overloaded_error")


def test_a_refusal_can_be_played(standins: Standins, client: anthropic.Anthropic) -> None:
    usage = {"input_tokens": 1, "output_tokens": 1}
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [], "usage": usage}
    refusal = {**body, "stop_reason": "refusal", "stop_details": {"type": "refusal", "category": "bio"}}
    standins.anthropic.fault("reply", body=json.dumps(refusal))
    assert ask(client, "hello").stop_reason == "refusal"


def test_a_server_that_hangs_runs_into_the_clients_timeout(standins: Standins, client: anthropic.Anthropic) -> None:
    standins.anthropic.fault("hang", seconds=5)
    with pytest.raises(anthropic.APITimeoutError):
        ask(client, "hello", timeout=0.3)


def test_a_reset_connection_is_a_connection_error(standins: Standins, client: anthropic.Anthropic) -> None:
    standins.anthropic.fault("reset")
    with pytest.raises(anthropic.APIConnectionError):
        ask(client, "hello")
