"""Claude: the real SDK against a scripted server that speaks the wire format, and against the stand-in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import (
    AnswerInvalid,
    AnswerRefused,
    AnswerTooLong,
    RateLimited,
    ServiceFailed,
    ServiceRefused,
)
from paperjobs_runner.pipelines.institution_extraction import prompt
from paperjobs_runner.pipelines.institution_extraction.answer import InstitutionsAnswer
from paperjobs_runner.services.claude import ClaudeAnswer, ask
from paperjobs_runner.settings import ClaudeSettings
from paperjobs_standins.exchange import Answer, Request
from paperjobs_standins.loopback import LoopbackServer
from paperjobs_standins.server import Standins

GOOD = {"institutions": [], "authors": [{"name": "Ana", "institutions": []}]}


class Scripted:
    """Answers each request with the next message of a script; keeps what it was asked."""

    name = "anthropic"

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.asked: list[Request] = []

    def answer(self, request: Request) -> Answer:
        self.asked.append(request)
        return self.script.pop(0)

    def failure(self, status: int) -> Answer:
        return Answer.json({"type": "error", "error": {"type": "api_error", "message": "no"}}, status=status)

    def empty(self) -> Answer:
        return Answer()

    def env(self, base_url: str) -> dict[str, str]:
        return {"ANTHROPIC_BASE_URL": base_url}


def message(content: object, stop_reason: str = "end_turn", **more: Any) -> Answer:
    text = content if isinstance(content, str) else json.dumps(content)
    blocks = [{"type": "text", "text": text}] if text else []
    usage = {"input_tokens": 100, "output_tokens": 20}
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": blocks}
    return Answer.json(body | {"stop_reason": stop_reason, "stop_sequence": None, "usage": usage} | more)


def refusal(status: int, *, retry_after: str | None = None, kind: str = "api_error", code: str | None = None) -> Answer:
    error = {"type": kind, "message": "sk-ant-secret in a message"} | (
        {"details": {"error_code": code}} if code else {}
    )
    headers = {"retry-after": retry_after} if retry_after else {}
    return Answer.json({"type": "error", "error": error}, status=status, headers=headers)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer[Scripted]]:
    """A server that says what its script holds; the SDK's own variables are cleared."""
    for name in list(os.environ):
        if name.startswith("ANTHROPIC_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    server = LoopbackServer(Scripted())
    server.start()
    yield server
    server.stop()


def question(server: LoopbackServer[Scripted], *answers: Answer) -> ClaudeAnswer[InstitutionsAnswer]:
    """Put one question; no pause is really slept."""
    server.service.script = list(answers)
    real = Deadline.after(600)
    return ask(
        system="Be brief.",
        question="Who?",
        form=InstitutionsAnswer,
        settings=ClaudeSettings(api_key="sk-ant-test", model="claude-x", base_url=server.url),
        deadline=Deadline(at=real.at, sleep=lambda _seconds: None),
    )


def test_an_answer_is_validated_and_its_cost_known(server: LoopbackServer[Scripted]) -> None:
    answer = question(server, message(GOOD))
    assert answer.value.authors[0].name == "Ana"
    assert (answer.model, answer.input_tokens, answer.output_tokens) == ("claude-x", 100, 20)


def test_the_request_carries_key_schema_and_question(server: LoopbackServer[Scripted]) -> None:
    question(server, message(GOOD))
    (request,) = server.service.asked
    body = request.json()
    assert request.path == "/v1/messages"
    assert request.headers["authorization"] == "Bearer sk-ant-test"
    assert (body["system"], body["messages"]) == ("Be brief.", [{"role": "user", "content": "Who?"}])
    schema = body["output_config"]["format"]["schema"]
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"institutions", "authors"}


def test_an_answer_without_the_form_is_asked_for_once_more(server: LoopbackServer[Scripted]) -> None:
    assert question(server, message("Sure! Here you are:"), message(GOOD)).value.authors
    with pytest.raises(AnswerInvalid):
        question(server, message({"institutions": 5}), message({}))


@pytest.mark.parametrize(
    ("answer", "expected", "says"),
    [
        (message("", "refusal", stop_details={"type": "refusal", "category": "bio"}), AnswerRefused, "bio"),
        (message("I cannot", "refusal"), AnswerRefused, "declined"),
        (message('{"institutions": [', "max_tokens"), AnswerTooLong, "max_tokens"),
        (refusal(413, kind="request_too_large"), AnswerTooLong, "too long"),
        (refusal(400, kind="invalid_request_error"), ServiceRefused, "400"),
        (refusal(401, kind="authentication_error"), ServiceRefused, "ANTHROPIC_API_KEY"),
        (refusal(402, kind="billing_error"), ServiceRefused, "credit"),
        (refusal(404, kind="not_found_error"), ServiceRefused, "ANTHROPIC_MODEL"),
    ],
)
def test_what_asking_again_would_not_change_is_asked_once(
    server: LoopbackServer[Scripted], answer: Answer, expected: type[Exception], says: str
) -> None:
    with pytest.raises(expected, match=says) as failure:
        question(server, answer)
    assert len(server.service.asked) == 1
    assert "sk-ant" not in str(failure.value)


@pytest.mark.parametrize(
    ("answer", "wait_ms"),
    [
        (refusal(429, kind="rate_limit_error"), 30_000),
        (refusal(429, kind="rate_limit_error", retry_after="120"), 120_000),
        (refusal(429, kind="rate_limit_error", retry_after="999999"), 3_600_000),  # the SDK would sleep that long
        (refusal(429, kind="rate_limit_error", code="enforced_spend_limit_reached"), 900_000),
        (refusal(529, kind="overloaded_error"), 30_000),
        (refusal(503, kind="api_error", retry_after="40"), 40_000),
    ],
)
def test_a_long_wait_gives_the_job_back(server: LoopbackServer[Scripted], answer: Answer, wait_ms: int) -> None:
    with pytest.raises(RateLimited) as limited:
        question(server, answer)
    assert limited.value.retry_after_ms == wait_ms
    assert len(server.service.asked) == 1


def test_short_faults_are_sat_out(server: LoopbackServer[Scripted]) -> None:
    assert question(server, refusal(500), refusal(429, retry_after="2"), message(GOOD)).value.authors


def test_a_service_that_stays_broken_is_a_passing_fault(server: LoopbackServer[Scripted]) -> None:
    with pytest.raises(ServiceFailed, match="503"):
        question(server, refusal(503), refusal(503), refusal(503))


@pytest.mark.parametrize("kind", ["reset", "garbage", "truncate", "empty"])
def test_a_broken_answer_is_a_passing_fault(server: LoopbackServer[Scripted], kind: str) -> None:
    server.fault(kind, times=None)
    with pytest.raises((ServiceFailed, AnswerInvalid)):
        question(server, *[message(GOOD)] * 3)


def test_the_stand_in_reads_the_paper_in_our_own_prompt() -> None:
    page = "A Study\nAna Simic1 and Bo Li2\n1 ETH Zurich, Switzerland\n2 University of Oxford, UK\nAbstract\nThings."
    with Standins(["anthropic"]) as standins:
        env = standins.env()
        answer = ask(
            system=prompt.SYSTEM,
            question=prompt.question([page], ["Ana Simic", "Bo Li"]),
            form=InstitutionsAnswer,
            settings=ClaudeSettings(
                api_key=env["ANTHROPIC_API_KEY"], model="claude-haiku-5-5", base_url=env["ANTHROPIC_BASE_URL"]
            ),
            deadline=Deadline.after(60),
        )
    assert [found.name for found in answer.value.institutions] == ["ETH Zurich", "University of Oxford"]
    assert {author.name: author.institutions for author in answer.value.authors} == {"Ana Simic": [0], "Bo Li": [1]}
