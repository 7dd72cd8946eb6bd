"""Faults on the wire, steering from another process, and an orderly end."""

from __future__ import annotations

import socket
import time

import httpx2
import pytest

from paperjobs_standins.arxiv import ArxivStandin
from paperjobs_standins.loopback import LoopbackServer
from paperjobs_standins.server import Standins


def get(standins: Standins, *, patience: float = 20.0) -> httpx2.Response:
    timeout = httpx2.Timeout(20, read=patience)
    return httpx2.get(f"{standins.arxiv.url}/api/query", params={"id_list": "1706.03762"}, timeout=timeout)


def test_a_rate_limit_is_answered_in_the_services_own_words(standins: Standins) -> None:
    standins.arxiv.fault("status", status=429, retry_after=3)
    struck, next_one = get(standins), get(standins)
    assert (struck.status_code, struck.headers["retry-after"]) == (429, "3")
    assert "Rate exceeded" in struck.text
    assert next_one.status_code == 200


def test_a_refusal_need_not_say_how_long_to_wait(standins: Standins) -> None:
    standins.arxiv.fault("status", status=503)
    assert "retry-after" not in get(standins).headers


def test_garbage_is_not_of_the_protocol(standins: Standins) -> None:
    standins.arxiv.fault("garbage")
    answer = get(standins)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_an_empty_answer_is_the_services_own_kind_of_empty(standins: Standins) -> None:
    standins.arxiv.fault("empty")
    assert "<feed" in (text := get(standins).text)
    assert "<entry>" not in text


def test_a_truncated_body_is_noticed_by_the_client(standins: Standins) -> None:
    standins.arxiv.fault("truncate")
    with pytest.raises(httpx2.RemoteProtocolError):
        get(standins)


def test_an_answer_in_chunks_is_whole_and_does_not_tell_its_length(standins: Standins) -> None:
    standins.arxiv.fault("chunked")
    chunked, plain = get(standins), get(standins)
    assert "content-length" not in chunked.headers
    assert chunked.text == plain.text


def test_an_endless_answer_goes_on_until_the_client_leaves_it(standins: Standins) -> None:
    standins.arxiv.fault("endless")
    with httpx2.stream("GET", f"{standins.arxiv.url}/api/query?id_list=1706.03762", timeout=20) as answer:
        received = 0
        for chunk in answer.iter_bytes():
            received += len(chunk)
            if received > 5_000_000:
                break
    assert received > 5_000_000
    assert get(standins).status_code == 200


def test_a_redirect_leads_where_the_test_says(standins: Standins) -> None:
    standins.arxiv.fault("redirect", location="http://169.254.169.254/")
    answer = get(standins)
    assert (answer.status_code, answer.headers["location"]) == (302, "http://169.254.169.254/")


def test_a_reset_connection_is_noticed_by_the_client(standins: Standins) -> None:
    standins.arxiv.fault("reset")
    with pytest.raises(httpx2.ReadError):
        get(standins)


def test_a_hanging_server_runs_into_the_clients_timeout(standins: Standins) -> None:
    standins.arxiv.fault("hang", seconds=3)
    with pytest.raises(httpx2.ReadTimeout):
        get(standins, patience=0.2)


def test_a_slow_server_answers_truly_but_late(standins: Standins) -> None:
    standins.arxiv.fault("slow", seconds=0.3)
    begun = time.monotonic()
    assert "Attention" in get(standins).text
    assert time.monotonic() - begun >= 0.3


def test_another_process_can_plan_faults_and_read_requests(standins: Standins) -> None:
    base = standins.arxiv.url
    planned = httpx2.post(f"{base}/__faults__", json={"kind": "status", "status": 500, "path": "/api"})
    assert planned.status_code == 201
    assert get(standins).status_code == 500
    recorded = httpx2.get(f"{base}/__requests__").json()
    assert recorded == {
        "count": 1,
        "requests": [{"method": "GET", "target": "/api/query?id_list=1706.03762", "status": 500, "fault": "status"}],
    }
    httpx2.delete(f"{base}/__requests__")
    assert httpx2.get(f"{base}/__requests__").json()["count"] == 0


def test_planned_faults_can_be_taken_back(standins: Standins) -> None:
    httpx2.post(f"{standins.arxiv.url}/__faults__", json={"kind": "reset", "times": None})
    httpx2.delete(f"{standins.arxiv.url}/__faults__")
    assert get(standins).status_code == 200


def test_a_wrong_fault_is_refused_with_a_reason(standins: Standins) -> None:
    answer = httpx2.post(f"{standins.arxiv.url}/__faults__", json={"kind": "explode"})
    assert answer.status_code == 400
    assert "give one of" in answer.json()["error"]


def test_stopping_ends_hanging_answers_and_frees_the_port() -> None:
    server = LoopbackServer(ArxivStandin())
    server.start()
    server.fault("hang", seconds=60)
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"GET /api/query HTTP/1.1\r\nHost: x\r\n\r\n")
        while not server.requests:
            time.sleep(0.01)
        begun = time.monotonic()
        server.stop()
        assert client.recv(100) == b""
    assert time.monotonic() - begun < 20
    LoopbackServer(ArxivStandin(), port=int(port)).stop()


def test_only_the_chosen_services_run() -> None:
    with Standins(["arxiv", "s3"]) as some:
        assert {"ARXIV_API_URL", "AWS_S3_BUCKET", "NO_PROXY"} <= set(some.env())
        assert "ANTHROPIC_API_KEY" not in some.env()
        with pytest.raises(KeyError):
            _ = some.anthropic


def test_an_unknown_service_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no stand-in for grobid: choose from arxiv"):
        Standins(["grobid"])
