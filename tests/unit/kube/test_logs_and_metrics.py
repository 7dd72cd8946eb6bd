"""What machines read of the operator: log lines, metrics, probes."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from paperjobs.kube.probes import probes
from paperjobs.logs import LoggingObserver, configure_logs
from paperjobs.metrics import Observers, PrometheusObserver
from paperjobs.model import (
    Claim,
    Counts,
    Job,
    Outcome,
    OutcomeKind,
    QueueSettings,
    QueueStatus,
    RateLimit,
    Run,
    RunPhase,
)
from paperjobs.settings import LogFormat, LogLevel

QUEUE = QueueSettings(name="institutions", queue="institution-extraction", pipeline="p", concurrency=2)
JOB = Job(id="17", name="extract", claim=Claim(number=1, token="secret-token"), attempts_made=1, data="{}")
RUN = Run(
    name="r", job_id="17", claim=1, attempt=2, phase=RunPhase.ENDED, created_at=0, started_at=1_000, ended_at=4_000
)
STATUS = QueueStatus(
    counts=Counts(waiting=3, failed=5),
    live=1,
    concurrency=2,
    window_used=7,
    rate_limit=RateLimit(max=10, per_ms=60_000),
)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield io.StringIO()
    root.handlers[:], root.level = before


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_line_is_one_json_object_with_queue_job_run_and_attempt(stream: io.StringIO) -> None:
    configure_logs(LogLevel.INFO, LogFormat.JSON, stream)
    logging.getLogger("x").info("Two\nlines %s", "\x1b[31m", extra={"queue": "q", "action": "did"})
    logging.getLogger("x").debug("not shown")
    [line] = lines(stream)
    assert line["message"] == "Two\nlines \x1b[31m"
    assert (line["queue"], line["job"], line["run"], line["attempt"]) == ("q", None, None, None)
    assert (line["level"], line["action"]) == ("info", "did")
    assert str(line["time"]).endswith("+00:00")


def test_an_error_is_logged_with_its_traceback(stream: io.StringIO) -> None:
    configure_logs(LogLevel.INFO, LogFormat.JSON, stream)
    try:
        raise ValueError("wrong")
    except ValueError:
        logging.getLogger("x").exception("It broke")
    [line] = lines(stream)
    assert "ValueError: wrong" in str(line["error"])


def test_text_lines_obey_no_terminal(stream: io.StringIO) -> None:
    configure_logs(LogLevel.INFO, LogFormat.TEXT, stream)
    logging.getLogger("x").info("job %s", "\x1b[31m\n", extra={"queue": "q"})
    [line] = stream.getvalue().splitlines()
    assert "\x1b" not in line
    assert line.endswith("queue=q")


def test_a_jobs_events_name_it_and_never_its_token(stream: io.StringIO) -> None:
    configure_logs(LogLevel.INFO, LogFormat.JSON, stream)
    observer = LoggingObserver()
    observer.launched(QUEUE, JOB, "r")
    observer.settled(QUEUE, RUN, Outcome(kind=OutcomeKind.FAILED, reason="OOMKilled", message="too much"))
    for line in lines(stream):
        assert (line["queue"], line["job"], line["run"], line["attempt"]) == ("institution-extraction", "17", "r", 2)
        assert line["paperqueue"] == "institutions"
    assert "OOMKilled: too much" in stream.getvalue()
    assert "secret-token" not in stream.getvalue()


def test_metrics_tell_what_the_engine_does() -> None:
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    both = Observers(observer, LoggingObserver())
    both.ticked(QUEUE, STATUS, 0.02)
    both.tick_failed(QUEUE, RuntimeError("x"))
    both.launched(QUEUE, JOB, "r")
    both.settled(QUEUE, RUN, Outcome(kind=OutcomeKind.COMPLETED, reason="Completed"))
    observer.requested("post", "jobs", 201)
    text = generate_latest(registry).decode()
    names = 'paperqueue="institutions",queue="institution-extraction"'
    for sample in (
        f'paperjobs_jobs{{{names},state="waiting"}} 3.0',
        f"paperjobs_live_runs{{{names}}} 1.0",
        f"paperjobs_slots{{{names}}} 2.0",
        f"paperjobs_window_starts{{{names}}} 7.0",
        f"paperjobs_window_max_starts{{{names}}} 10.0",
        f'paperjobs_tick_failures_total{{error="RuntimeError",{names}}} 1.0',
        f"paperjobs_runs_launched_total{{{names}}} 1.0",
        f'paperjobs_runs_settled_total{{outcome="completed",{names},reason="Completed"}} 1.0',
        f"paperjobs_run_seconds_sum{{{names}}} 3.0",
        f"paperjobs_tick_seconds_count{{{names}}} 1.0",
        'paperjobs_api_requests_total{code="201",resource="jobs",verb="post"} 1.0',
    ):
        assert sample in text


def test_reasons_that_runners_invent_make_no_series_of_their_own() -> None:
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    for number in range(100):
        observer.settled(QUEUE, RUN, Outcome(kind=OutcomeKind.FAILED, reason=f"Invented{number}"))
    text = generate_latest(registry).decode()
    assert 'reason="Other"} 100.0' in text
    assert "Invented" not in text


def test_a_queue_that_is_no_longer_served_has_no_numbers() -> None:
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    observer.ticked(QUEUE, STATUS, 0.02)
    observer.serves([QUEUE])
    assert b"paperjobs_jobs{" in generate_latest(registry)
    observer.serves([replace(QUEUE, name="another")])
    assert b"paperjobs_jobs{" not in generate_latest(registry)
    observer.serves([])


def test_queues_of_one_name_under_two_prefixes_have_numbers_of_their_own() -> None:
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    observer.ticked(QUEUE, STATUS, 0.02)
    observer.ticked(replace(QUEUE, name="other", prefix="app"), replace(STATUS, live=2), 0.02)
    text = generate_latest(registry).decode()
    assert 'paperjobs_live_runs{paperqueue="institutions",queue="institution-extraction"} 1.0' in text
    assert 'paperjobs_live_runs{paperqueue="other",queue="institution-extraction"} 2.0' in text


def test_a_replica_that_no_longer_leads_says_nothing_of_the_queues() -> None:
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    observer.leads(True)
    observer.ticked(QUEUE, STATUS, 0.02)
    observer.leads(False)
    text = generate_latest(registry).decode()
    assert "paperjobs_leading 0.0" in text
    assert "paperjobs_jobs{" not in text


async def test_probes_answer_with_the_problem() -> None:
    problem = ""
    async with (
        probes(host="127.0.0.1", port=0, alive=lambda: "", ready=lambda: problem, registry=CollectorRegistry()) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
    ):
        async with http.get("/livez") as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")
        problem = "not yet"
        async with http.get("/readyz") as answer:
            assert (answer.status, await answer.text()) == (503, "not yet\n")
        async with http.get("/metrics") as answer:
            assert answer.status == 200
