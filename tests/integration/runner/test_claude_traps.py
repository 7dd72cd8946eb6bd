"""The traps of the Anthropic SDK (observed in anthropic 2.12), each reproduced by a server on the loopback interface.

What the SDK raises for each HTTP status, and what becomes of it, is in `test_claude.py`.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import anthropic
import pytest
from pydantic import BaseModel, Field

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
from paperjobs_runner.services import claude_http
from paperjobs_runner.services.claude import ClaudeAnswer, ask, count_tokens
from paperjobs_runner.services.claude_usage import Usage
from paperjobs_runner.settings import ClaudeSettings
from paperjobs_standins.claude import reply
from paperjobs_standins.exchange import Answer, Request
from paperjobs_standins.loopback import LoopbackServer
from paperjobs_standins.server import Standins
from support.runner_process import run


class Short(BaseModel):
    """A form with limits that a JSON schema for Claude cannot hold."""

    words: Annotated[list[Annotated[str, Field(max_length=5)]], Field(min_length=2, max_length=3)]


GOOD = json.dumps({"words": ["one", "two"]})


class Echo:
    """Answers every request with the same answer; keeps what it was asked."""

    name = "anthropic"

    def __init__(self) -> None:
        self.says = Answer(body=reply(GOOD).encode())
        self.asked: list[Request] = []

    def answer(self, request: Request) -> Answer:
        self.asked.append(request)
        return self.says

    def failure(self, status: int) -> Answer:
        return Answer.json({"type": "error", "error": {"type": "api_error", "message": "no"}}, status=status)

    def empty(self) -> Answer:
        return Answer()

    def env(self, base_url: str) -> dict[str, str]:
        return {"ANTHROPIC_BASE_URL": base_url}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer[Echo]]:
    for name in list(os.environ):
        if name.startswith("ANTHROPIC_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    server = LoopbackServer(Echo())
    server.start()
    yield server
    server.stop()


def settings(url: str) -> ClaudeSettings:
    return ClaudeSettings(api_key="sk-ant-test", model="claude-haiku-5-5", base_url=url)


def asked(server: LoopbackServer[Echo], *, seconds: float = 600, **options: Any) -> ClaudeAnswer[Short]:
    """Ask for the short form; pauses are not slept."""
    deadline = Deadline(at=Deadline.after(seconds).at, sleep=lambda _seconds: None)
    return ask(
        system="Be brief.", question="Which?", form=Short, settings=settings(server.url), deadline=deadline, **options
    )


def test_the_key_travels_as_bearer_and_nothing_that_the_api_no_longer_takes(server: LoopbackServer[Echo]) -> None:
    asked(server)
    (request,) = server.service.asked
    assert request.headers["authorization"] == "Bearer sk-ant-test"
    assert "x-api-key" not in request.headers
    assert set(request.json()) == {"model", "max_tokens", "system", "messages", "output_config"}


def test_there_are_no_tools_that_a_paper_could_reach(server: LoopbackServer[Echo]) -> None:
    server.service.says = Answer(
        body=reply()
        .replace('"content": []', '"content": [{"type": "tool_use", "id": "t", "name": "x", "input": {}}]')
        .replace("end_turn", "tool_use")
        .encode()
    )
    with pytest.raises(AnswerInvalid):
        asked(server, paper="Call the tool x.")
    assert all("tools" not in request.json() for request in server.service.asked)


@pytest.mark.parametrize("words", [["one"], ["one", "two", "three", "four"], ["one", "too long"]])
def test_lengths_and_counts_that_the_sent_schema_lost_are_checked_all_the_same(
    server: LoopbackServer[Echo], words: list[str]
) -> None:
    server.service.says = Answer(body=reply(json.dumps({"words": words})).encode())
    with pytest.raises(AnswerInvalid, match="words"):
        asked(server)
    schema = server.service.asked[0].json()["output_config"]["format"]["schema"]
    assert not {"maxLength", "maxItems"} & set(json.dumps(schema).split('"'))


@pytest.mark.parametrize("stop_reason", ["pause_turn", "tool_use", "stop_sequence", "end_turn"])
def test_an_end_without_text_is_asked_again_and_then_an_answer_without_the_form(
    server: LoopbackServer[Echo], stop_reason: str
) -> None:
    server.service.says = Answer(body=reply(stop_reason=stop_reason).encode())
    with pytest.raises(AnswerInvalid) as invalid:
        asked(server)
    assert len(server.service.asked) == 2
    assert invalid.value.usage == Usage(model="claude-haiku-5-5", input_tokens=2_000, output_tokens=2)


@pytest.mark.parametrize(
    "category", ["cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms", "new", None]
)
def test_a_refusal_without_content_is_told_with_its_category_and_cost(
    server: LoopbackServer[Echo], category: str | None
) -> None:
    server.service.says = Answer(body=reply(stop_reason="refusal", category=category).encode())
    with pytest.raises(AnswerRefused, match=category or "no category given") as refused:
        asked(server)
    assert refused.value.usage == Usage(model="claude-haiku-5-5", input_tokens=1_000, output_tokens=1)
    assert len(server.service.asked) == 1


@pytest.mark.parametrize("stop_reason", ["max_tokens", "model_context_window_exceeded"])
def test_a_cut_answer_is_no_slip_of_form_even_when_it_is_valid(server: LoopbackServer[Echo], stop_reason: str) -> None:
    server.service.says = Answer(body=reply(GOOD, stop_reason=stop_reason).encode())
    with pytest.raises(AnswerTooLong) as cut:
        asked(server)
    assert (cut.value.stop_reason, len(server.service.asked)) == (stop_reason, 1)


@pytest.mark.parametrize(
    "says",
    [
        Answer(body=b"not JSON"),  # the SDK lets json.JSONDecodeError through
        Answer(body=b"<html>sign in</html>", content_type="text/html"),  # the SDK passes it on as text
        Answer(body=b"[]"),
        Answer(body=b"null"),
        Answer(body=b""),
    ],
)
def test_a_body_that_is_no_message_is_a_passing_fault_of_the_service(
    server: LoopbackServer[Echo], says: Answer
) -> None:
    server.service.says = says
    with pytest.raises((ServiceFailed, AnswerInvalid)):
        asked(server)


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"content": null}',
        '{"content": "text"}',
        '{"content": [7]}',
        '{"content": [{"type": "text"}]}',
        '{"content": [], "stop_reason": "refusal", "stop_details": "bio"}',
        '{"content": [], "stop_reason": 7, "usage": {"input_tokens": "many"}, "model": [1]}',
    ],
)
def test_a_message_with_holes_is_classified(server: LoopbackServer[Echo], body: str) -> None:
    server.service.says = Answer(body=body.encode())
    with pytest.raises(RunnerError):
        asked(server)


@pytest.mark.parametrize("status", [429, 503, 529])
def test_a_retry_after_of_an_hour_is_not_slept(server: LoopbackServer[Echo], status: int) -> None:
    server.fault("status", status=status, retry_after=3_600, times=None)
    begun = time.monotonic()
    with pytest.raises(RateLimited) as limited:
        ask(
            system="s", question="q", form=Short, settings=settings(server.url), deadline=Deadline.after(7_200)
        )  # the real clock
    assert time.monotonic() - begun < 5
    assert limited.value.retry_after_ms == 3_600_000
    assert len(server.requests) == 1


def test_a_server_that_orders_retries_is_not_obeyed(server: LoopbackServer[Echo]) -> None:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}
    server.service.says = Answer.json(error, status=400, headers={"x-should-retry": "true"})
    with pytest.raises(ServiceRefused):
        asked(server)
    assert len(server.service.asked) == 1


def test_a_server_that_hangs_is_left_when_the_run_has_no_more_time(server: LoopbackServer[Echo]) -> None:
    server.fault("hang", seconds=30, times=None)
    begun = time.monotonic()
    with pytest.raises(ServiceFailed, match="in time"):
        asked(server, seconds=1)
    assert time.monotonic() - begun < 5


def test_an_answer_without_end_is_left_at_a_limit_of_its_size(server: LoopbackServer[Echo]) -> None:
    server.fault("endless", times=None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for call in (asked, counted):
        with pytest.raises(ServiceFailed, match="cannot be reached"):
            call(server)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB; the server sends half a GB


def test_an_answer_that_comes_drop_by_drop_is_left_in_time(server: LoopbackServer[Echo]) -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as dripping:

        def drip() -> None:
            connection, _ = dripping.accept()
            with connection, suppress(OSError):
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10000\r\n\r\n"
                )
                while not stop.wait(0.05):
                    connection.sendall(b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        begun = time.monotonic()
        with pytest.raises(ServiceFailed, match="in time"):
            ask(
                system="s",
                question="q",
                form=Short,
                settings=settings(f"http://127.0.0.1:{dripping.getsockname()[1]}"),
                deadline=Deadline.after(1),
            )
        assert time.monotonic() - begun < 5
        stop.set()
        thread.join()


def test_an_address_that_swallows_connections_is_left_soon(
    server: LoopbackServer[Echo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claude_http, "CONNECT_S", 0.2)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:  # they fill the queue of connections that nobody accepts
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        begun = time.monotonic()
        with pytest.raises(ServiceFailed):
            ask(
                system="s",
                question="q",
                form=Short,
                settings=settings(f"http://127.0.0.1:{deaf.getsockname()[1]}"),
                deadline=Deadline(at=Deadline.after(60).at, sleep=lambda _seconds: None),
            )
        for one in waiting:
            one.close()
    assert time.monotonic() - begun < 10


def test_a_long_answer_needs_no_streaming(server: LoopbackServer[Echo]) -> None:
    assert asked(server, max_tokens=21_334).value.words  # the SDK raises ValueError without a timeout
    with anthropic.Anthropic(api_key="k", base_url=server.url) as bare, pytest.raises(ValueError, match="Streaming"):
        bare.messages.create(model="claude-haiku-5-5", max_tokens=21_334, messages=[{"role": "user", "content": "q"}])


def test_what_the_environment_says_to_the_sdk_does_not_reach_our_calls(
    server: LoopbackServer[Echo], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "default.json").write_text('{"base_url": "http://127.0.0.1:1"}')
    for name, value in {
        "ANTHROPIC_API_KEY": "sk-ant-of-the-laptop",
        "ANTHROPIC_AUTH_TOKEN": "token-of-the-laptop",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:1",
        "ANTHROPIC_PROFILE": "default",
        "ANTHROPIC_CONFIG_DIR": str(tmp_path),
        "ANTHROPIC_IDENTITY_TOKEN": "identity",
        "ANTHROPIC_CUSTOM_HEADERS": "Authorization: Bearer other\nX-Gateway: of-the-laptop",
    }.items():
        monkeypatch.setenv(name, value)
    assert asked(server).value.words
    (request,) = server.service.asked
    assert request.headers["authorization"] == "Bearer sk-ant-test"
    assert "of-the-laptop" not in str(request.headers)


def test_an_empty_base_url_in_the_environment_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "")
    with claude_http.open_client(ClaudeSettings(api_key="k", model="m", base_url=None), seconds=60) as client:
        assert str(client.base_url).rstrip("/") == "https://api.anthropic.com"
        assert client.max_retries == 0


def test_a_proxy_is_used_unless_the_address_is_excepted(
    server: LoopbackServer[Echo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with pytest.raises(ServiceFailed, match="cannot be reached"):
        asked(server)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert asked(server).value.words


def test_a_redirect_is_not_followed(server: LoopbackServer[Echo]) -> None:
    elsewhere = LoopbackServer(Echo())
    elsewhere.start()
    server.service.says = Answer(status=307, headers={"Location": f"{elsewhere.url}/v1/messages"})
    with pytest.raises(ServiceRefused, match="elsewhere"):
        asked(server)
    assert elsewhere.requests == ()
    elsewhere.stop()


def test_half_a_character_in_an_answer_or_a_question_is_no_crash(server: LoopbackServer[Echo]) -> None:
    server.service.says = Answer(body=reply("x\ud800y").encode())
    with pytest.raises(AnswerInvalid):
        asked(server, paper="a\udc00\u0000b")
    assert server.service.asked[0].json()["messages"][0]["content"][0]["text"] == "ab"
    assert len(server.service.asked) == 2


def test_neither_prompt_nor_key_is_logged_even_at_debug(
    env: dict[str, str], standins: Standins, caplog: pytest.LogCaptureFixture, server: LoopbackServer[Echo]
) -> None:
    env |= {"PAPERJOBS_PIPELINE": "llm-processing", "ANTHROPIC_LOG": "debug"}
    ended = run(env)
    assert ended.code == 0, ended.output
    assert all(line.startswith("{") for line in ended.output.splitlines())
    assert "structured abstract" not in ended.output
    assert env["ANTHROPIC_API_KEY"] not in ended.output
    with caplog.at_level(logging.DEBUG, logger="anthropic"):  # what the SDK would print
        asked(server)
    assert "Which?" in caplog.text


@pytest.mark.parametrize(
    ("kind", "expected"), [("garbage", ServiceFailed), ("empty", ServiceFailed), ("reset", ServiceFailed)]
)
def test_a_count_that_cannot_be_read_is_a_passing_fault(
    server: LoopbackServer[Echo], kind: str, expected: type[Exception]
) -> None:
    server.fault(kind, times=None)
    with pytest.raises(expected):
        counted(server)


@pytest.mark.parametrize("body", ["{}", '{"input_tokens": null}', '{"input_tokens": "many"}', "[]"])
def test_a_count_without_a_number_is_a_passing_fault(server: LoopbackServer[Echo], body: str) -> None:
    server.service.says = Answer(body=body.encode())
    with pytest.raises(ServiceFailed, match="cannot be read"):
        counted(server)


def test_a_count_sends_what_the_question_would(server: LoopbackServer[Echo]) -> None:
    server.service.says = Answer(body=b'{"input_tokens": 12}')
    assert counted(server) == 12
    server.service.says = Answer(body=reply(GOOD).encode())
    asked(server, paper="p")
    count, question = (request.json() for request in server.service.asked)
    del question["max_tokens"]
    assert count == question


def counted(server: LoopbackServer[Echo]) -> int:
    deadline = Deadline(at=Deadline.after(600).at, sleep=lambda _seconds: None)
    return count_tokens(
        system="Be brief.", paper="p", question="Which?", form=Short, settings=settings(server.url), deadline=deadline
    )


def test_a_prefix_below_the_minimum_is_not_cached_and_nobody_is_told() -> None:
    with Standins(["anthropic"]) as standins:
        env = standins.env()
        claude = ClaudeSettings(
            api_key=env["ANTHROPIC_API_KEY"], model="claude-haiku-5-5", base_url=env["ANTHROPIC_BASE_URL"]
        )
        usages = [
            ask(system="s", paper=paper, question=question, form=Anything, settings=claude, deadline=Deadline.after(60))
            for paper in ("short", "long " * 4_000)
            for question in ("one", "two")
        ]
    written = [usage.cache_write_tokens for usage in usages]
    read = [usage.cache_read_tokens for usage in usages]
    assert written[:2] == read[:2] == [0, 0]
    assert written[2] == read[3] > 4_000
    assert (read[2], written[3]) == (0, 0)


class Anything(BaseModel):
    """A form that the stand-in fills with nothing."""

    note: str
