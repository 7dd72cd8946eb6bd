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
from paperjobs_runner.services.claude_usage import Usage
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


def refusal(
    status: int,
    *,
    retry_after: str | None = None,
    kind: str = "api_error",
    code: str | None = None,
    says: str = "sk-ant-secret in a message",
) -> Answer:
    error = {"type": kind, "message": says} | ({"details": {"error_code": code}} if code else {})
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


def question(server: LoopbackServer[Scripted], *answers: Answer, **options: Any) -> ClaudeAnswer[InstitutionsAnswer]:
    """Put one question; no pause is really slept."""
    server.service.script, server.service.asked = list(answers), []
    real = Deadline.after(600)
    return ask(
        system="Be brief.",
        question="Who?",
        form=InstitutionsAnswer,
        settings=ClaudeSettings(api_key="sk-ant-test", model="claude-x", base_url=server.url),
        deadline=Deadline(at=real.at, sleep=lambda _seconds: None),
        **options,
    )


def turns(request: Request) -> list[tuple[str, str]]:
    """Who says what in a request; a message of several blocks counts once for each."""
    said: list[tuple[str, str]] = []
    for one in request.json()["messages"]:
        blocks = [{"text": one["content"]}] if isinstance(one["content"], str) else one["content"]
        said += [(one["role"], block["text"]) for block in blocks]
    return said


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
    assert [block["text"] for block in body["system"]] == ["Be brief."]
    assert turns(request) == [("user", "Who?")]
    schema = body["output_config"]["format"]["schema"]
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"institutions", "authors"}


def test_an_answer_without_the_form_is_asked_for_once_more_and_told_why(server: LoopbackServer[Scripted]) -> None:
    answer = question(server, message("Sure! Here you are:"), message(GOOD))
    assert answer.value.authors
    assert (answer.input_tokens, answer.output_tokens) == (200, 40)
    (_, _), (role, former), (last, told) = turns(server.service.asked[1])
    assert (role, former, last) == ("assistant", "Sure! Here you are:", "user")
    assert "does not have the agreed form" in told


def test_two_answers_without_the_form_are_given_up_with_what_they_cost(server: LoopbackServer[Scripted]) -> None:
    with pytest.raises(AnswerInvalid, match="institutions: Input should be a valid array") as invalid:
        question(server, message({}), message({"institutions": 5, "authors": []}))
    assert invalid.value.usage is not None
    assert (invalid.value.usage.input_tokens, invalid.value.usage.output_tokens) == (200, 40)


def test_an_empty_answer_is_asked_for_again_without_an_empty_turn(server: LoopbackServer[Scripted]) -> None:
    assert question(server, message(""), message(GOOD)).value.authors
    assert {role for role, _ in turns(server.service.asked[1])} == {"user"}


def test_an_answer_that_does_not_pass_the_check_is_asked_for_once_more_and_told_why(
    server: LoopbackServer[Scripted],
) -> None:
    better = {"institutions": [], "authors": [{"name": "Bo", "institutions": []}]}
    answer = question(server, message(GOOD), message(better), check=no_ana)
    assert answer.value.authors[0].name == "Bo"
    assert answer.rejected is None
    assert turns(server.service.asked[1])[1] == ("assistant", json.dumps(GOOD))
    assert "Ana is not an author" in turns(server.service.asked[1])[2][1]


def test_an_answer_that_fails_the_check_twice_is_an_error_or_kept_as_the_caller_wishes(
    server: LoopbackServer[Scripted],
) -> None:
    with pytest.raises(AnswerInvalid, match="Ana is not an author"):
        question(server, message(GOOD), message(GOOD), check=no_ana)
    kept = question(server, message(GOOD), message("no JSON"), check=no_ana, keep_rejected=True)
    assert (kept.value.authors[0].name, kept.rejected) == ("Ana", "Ana is not an author")


def no_ana(answer: InstitutionsAnswer) -> str | None:
    """A check that does not like one name."""
    return "Ana is not an author" if any(author.name == "Ana" for author in answer.authors) else None


def test_a_paper_is_a_cached_block_of_its_own_before_the_question(server: LoopbackServer[Scripted]) -> None:
    usage = {"input_tokens": 5, "output_tokens": 20, "cache_creation_input_tokens": 90, "cache_read_input_tokens": 7}
    answer = question(server, message(GOOD, usage=usage), paper="The paper.", max_tokens=50_000, effort="high")
    (request,) = server.service.asked
    assert turns(request) == [("user", "The paper."), ("user", "Who?")]
    body = request.json()
    cached = [block.get("cache_control") for block in body["messages"][0]["content"]]
    assert cached == [{"type": "ephemeral"}, None]
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert (body["max_tokens"], body["output_config"]["effort"]) == (50_000, "high")
    assert (answer.input_tokens, answer.cache_read_tokens, answer.cache_write_tokens) == (5, 7, 90)


def test_a_refusal_and_a_cut_answer_tell_what_they_cost(server: LoopbackServer[Scripted]) -> None:
    with pytest.raises(AnswerRefused) as refused:
        question(server, message("no JSON"), message("", "refusal"))
    with pytest.raises(AnswerTooLong) as long:
        question(server, message("{", "model_context_window_exceeded"))
    assert (refused.value.usage, long.value.usage) == (
        Usage(model="claude-x", input_tokens=200, output_tokens=40),
        Usage(model="claude-x", input_tokens=100, output_tokens=20),
    )
    assert long.value.stop_reason == "model_context_window_exceeded"


@pytest.mark.parametrize(
    ("answer", "expected", "says"),
    [
        (message("", "refusal", stop_details={"type": "refusal", "category": "bio"}), AnswerRefused, "bio"),
        (message("I cannot", "refusal"), AnswerRefused, "declined"),
        (message('{"institutions": [', "max_tokens"), AnswerTooLong, "max_tokens"),
        (refusal(413, kind="request_too_large"), AnswerTooLong, "too long"),
        (refusal(400, kind="invalid_request_error"), ServiceRefused, "400"),
        (refusal(400, says="prompt is too long: 210000 tokens > 200000 maximum"), AnswerTooLong, "too long"),
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
