"""Whole runs of `paperjobs-runner` as the operator starts them: a process, its exit code, its termination message."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from paperjobs_runner.contract import Assignment, ExitCode, claim_digest
from paperjobs_runner.database_url import normalise_database_url
from paperjobs_runner.store.fence import begin_run
from paperjobs_runner.store.migrate import upgrade
from paperjobs_runner.store.read import read_results
from paperjobs_runner.store.revision import REVISION
from paperjobs_runner.store.session import open_engine, transaction
from paperjobs_standins.server import Standins
from support.runner_process import COMMAND, Ended, end_of, environment, run, start


@pytest.fixture(scope="module")
def first_run(
    all_standins: Standins, new_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, str], Ended]:
    """The environment and the end of a run that nothing disturbed; its paper's files are kept in the bucket."""
    env = environment(all_standins, new_database, tmp_path_factory.mktemp("first-run"))
    all_standins.clear()
    return env, run(env)


def failed(env: Mapping[str, str]) -> tuple[int, str | None, str]:
    """Exit code, error type and message of a run that must not succeed."""
    ended = run(env)
    assert ended.report is not None
    assert ended.report.result is None
    return ended.code, ended.report.error_type, ended.report.message or ""


def payload(**fields: Any) -> dict[str, str]:
    return {"PAPERJOBS_PAYLOAD": json.dumps(fields)}


def test_a_paper_ends_as_stored_institutions_and_a_small_result(first_run: tuple[dict[str, str], Ended]) -> None:
    env, ended = first_run
    assert ended.code == ExitCode.DONE, ended.output
    assert ended.report is not None
    assert ended.report.result == {
        "paperId": "p-1",
        "arxivId": "1706.03762",
        "version": 7,
        "institutions": ["Google Brain", "Google Research", "University of Toronto"],
        "institutionCount": 3,
        "authorCount": 8,
        "dropped": 0,
    }
    (stored,) = read_results(env["DATABASE_URL"])
    assert stored.institutions == ("Google Brain", "Google Research", "University of Toronto")
    places = {author.name: author.institutions for author in stored.authors}
    assert places["Ashish Vaswani"] == ("Google Brain",)
    assert "University of Toronto" in places["Aidan N. Gomez"]


def test_a_second_attempt_fetches_nothing_twice(first_run: tuple[dict[str, str], Ended], standins: Standins) -> None:
    env, _ = first_run
    standins.clear()
    assert run(env | {"PAPERJOBS_CLAIM": "2", "PAPERJOBS_ATTEMPT": "2"}).code == ExitCode.DONE
    assert [request.target.partition("?")[0] for request in standins.arxiv.requests] == ["/api/query"]
    assert standins.adobe.requests == ()


def test_without_adobe_and_bucket_pypdf_and_a_folder_do(
    env: dict[str, str], standins: Standins, tmp_path: Path
) -> None:
    unset = dict.fromkeys(("ADOBE_CLIENT_ID", "ADOBE_CLIENT_SECRET", "AWS_S3_BUCKET"), "")
    ended = run(env | unset | {"PAPERJOBS_STORAGE_DIR": str(tmp_path / "files")})
    assert ended.code == ExitCode.DONE, ended.output
    assert (tmp_path / "files/papers/1706.03762/v7/paper.pdf").read_bytes().startswith(b"%PDF-")
    assert standins.adobe.requests == standins.s3.requests == ()


def test_postgresql_does_as_well(env: dict[str, str], postgres_url: str) -> None:
    env["DATABASE_URL"] = postgres_url
    code, kind, message = failed(env)
    assert (code, kind) == (ExitCode.TRY_AGAIN, "DatabaseUnavailable")
    assert "run `paperjobs-runner db upgrade`" in message
    upgrade(normalise_database_url(postgres_url))
    assert run(env).code == ExitCode.DONE
    assert len(read_results(postgres_url)) == 1


async def test_progress_log_and_a_large_payload_pass_through_redis(
    env: dict[str, str], redis_client: redis.asyncio.Redis, valkey_port: int
) -> None:
    data = env.pop("PAPERJOBS_PAYLOAD")
    await redis_client.hset("bull:institution-extraction:7", mapping={"data": data, "opts": "{}", "ats": "1"})
    ended = run(env | {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(valkey_port)})
    assert ended.code == ExitCode.DONE, ended.output
    events: Any = await redis_client.xrange("bull:institution-extraction:events")
    percents = [json.loads(event["data"])["percent"] for _, event in events]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    lines: Any = await redis_client.lrange("bull:institution-extraction:7:logs", 0, -1)
    assert lines[0].startswith("1706.03762v7: Attention Is All You Need")


async def test_a_job_added_again_under_its_id_runs_at_once_although_its_earlier_run_never_ended(
    env: dict[str, str], redis_client: redis.asyncio.Redis, valkey_port: int
) -> None:
    engine = open_engine(env["DATABASE_URL"])
    with transaction(engine) as connection:
        earlier = replace(Assignment.from_env(env), run="run-of-earlier-life", claim=3)
        begin_run(connection, earlier, datetime.now(UTC))
    engine.dispose()
    await redis_client.hset("bull:institution-extraction:7", mapping={"data": "{}", "opts": "{}", "ats": "1"})
    ended = run(env | {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(valkey_port)})
    assert ended.code == ExitCode.DONE, ended.output


async def test_a_run_of_an_earlier_life_of_its_job_stores_nothing_and_costs_no_attempt(
    env: dict[str, str], redis_client: redis.asyncio.Redis, valkey_port: int
) -> None:
    old, new = (claim_digest("bull", "institution-extraction", "7", 1, token) for token in ("old", "new"))
    key = "bull:institution-extraction:7"
    await redis_client.hset(key, mapping={"data": "{}", "opts": "{}", "ats": "1", "pb": "new"})
    env |= {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(valkey_port)}
    code, kind, _ = failed(env | {"PAPERJOBS_RUN": f"institution-extraction-{old}"})
    assert (code, kind) == (ExitCode.INTERRUPTED, "Superseded")
    assert read_results(env["DATABASE_URL"]) == []
    assert run(env | {"PAPERJOBS_RUN": f"institution-extraction-{new}"}).code == ExitCode.DONE


def test_a_redis_that_is_gone_does_not_fail_the_run(env: dict[str, str]) -> None:
    assert run(env | {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"}).code == ExitCode.DONE


@pytest.mark.parametrize(
    ("change", "error_type", "says"),
    [
        (payload(paperId="p"), "PayloadInvalid", "arxivUrl: missing"),
        (
            payload(paperId="p", arxivUrl="https://arxiv.org.evil.com/abs/1706.03762"),
            "PayloadInvalid",
            "arxivUrl: expected a link such as https://arxiv.org/abs/2301.12345, got",
        ),
        (payload(paperId="p", arxivUrl="2912.00001"), "PaperUnknown", "arXiv has no paper 2912.00001"),
        ({"PAPERJOBS_PIPELINE": "paper-folding"}, "PipelineUnknown", "there is no pipeline 'paper-folding'"),
        ({"PAPERJOBS_PIPELINE": "no-such"}, "PipelineUnknown", "there is no pipeline 'no-such'"),
    ],
)
def test_what_can_never_succeed_says_so_at_the_first_attempt(
    env: dict[str, str], change: dict[str, str], error_type: str, says: str
) -> None:
    code, kind, message = failed(env | change)
    assert (code, kind) == (ExitCode.NEVER_AGAIN, error_type)
    assert says in message


def test_nothing_is_fetched_for_a_link_that_is_not_arxivs(env: dict[str, str], standins: Standins) -> None:
    failed(env | payload(paperId="p", arxivUrl="http://169.254.169.254/abs/1706.03762"))
    assert standins.arxiv.requests == ()


def test_every_wrong_setting_is_in_the_report(env: dict[str, str]) -> None:
    code, kind, message = failed(env | {"ANTHROPIC_API_KEY": "", "DATABASE_URL": "mysql://u:top-secret@h/d"})
    assert (code, kind) == (ExitCode.TRY_AGAIN, "SettingsInvalid")
    assert "ANTHROPIC_API_KEY: not set" in message
    assert "DATABASE_URL: expected postgresql://" in message
    assert "top-secret" not in message


def test_an_incomplete_assignment_is_reported(env: dict[str, str]) -> None:
    del env["PAPERJOBS_QUEUE"]
    code, kind, message = failed(env)
    assert (code, kind) == (ExitCode.TRY_AGAIN, "ContractError")
    assert "PAPERJOBS_QUEUE" in message


@pytest.mark.parametrize(
    ("service", "path"), [("arxiv", "/api/query"), ("arxiv", "/pdf/"), ("anthropic", "/v1/messages")]
)
def test_a_rate_limit_gives_the_job_back_with_the_time_to_wait(
    env: dict[str, str], standins: Standins, service: str, path: str
) -> None:
    # Another paper than in the other tests: this one's PDF is not in the bucket yet.
    env |= payload(paperId="p", arxivUrl="https://arxiv.org/abs/1412.6980")
    getattr(standins, service).fault("status", status=429, retry_after=77, path=path, times=None)
    ended = run(env)
    assert ended.code == ExitCode.RATE_LIMITED, ended.output
    assert ended.report is not None
    assert ended.report.retry_after_ms == 77_000


def test_sigterm_in_the_middle_ends_the_run_at_once_with_a_report(env: dict[str, str], standins: Standins) -> None:
    standins.anthropic.fault("hang", seconds=60, times=None)
    process = start(env)
    deadline = time.monotonic() + 60
    while not standins.anthropic.requests and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    sent = time.monotonic()
    ended = end_of(env, process, seconds=30)
    assert ended.code == ExitCode.INTERRUPTED, ended.output
    assert time.monotonic() - sent < 5
    assert ended.report is not None
    assert ended.report.error_type == "Interrupted"
    assert "asking Claude" in (ended.report.message or "")
    assert read_results(env["DATABASE_URL"]) == []


def test_sigterm_right_after_the_start_is_reported_too(env: dict[str, str]) -> None:
    process = start(env)
    deadline = time.monotonic() + 30
    while not _catches_sigterm(process.pid) and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    ended = end_of(env, process, seconds=30)
    assert ended.code == ExitCode.INTERRUPTED, ended.output


def _catches_sigterm(pid: int) -> bool:
    """Whether the process has a handler for SIGTERM (Linux: /proc/PID/status, SigCgt)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) & (1 << (signal.SIGTERM - 1)))
    return False


def test_a_run_that_reaches_its_time_limit_says_so_itself(env: dict[str, str], standins: Standins) -> None:
    standins.arxiv.fault("hang", seconds=60, times=None)
    code, kind, message = failed(env | {"PAPERJOBS_TIMEOUT_SECONDS": "7"})
    assert (code, kind) == (ExitCode.TRY_AGAIN, "DeadlineExceeded")
    assert "time limit in step 'asking arXiv about the paper'" in message


def test_no_secret_appears_in_log_or_report_even_when_services_fail(env: dict[str, str], standins: Standins) -> None:
    standins.adobe.fault("reset", path="/storage/", times=None)
    standins.s3.fault("reset", times=1)
    env |= payload(paperId="p", arxivUrl="https://arxiv.org/abs/1810.04805") | {"REDIS_PASSWORD": "redis-secret-1"}
    ended = run(env)
    assert ended.code == ExitCode.TRY_AGAIN, ended.output
    written = ended.output + Path(env["PAPERJOBS_TERMINATION_LOG"]).read_text()
    secrets = ("ADOBE_CLIENT_SECRET", "ANTHROPIC_API_KEY", "REDIS_PASSWORD")
    assert all(env[name] not in written for name in secrets)
    assert "X-Amz-Signature" not in written


def test_every_log_line_is_json_and_names_its_run(first_run: tuple[dict[str, str], Ended]) -> None:
    lines = [json.loads(line) for line in first_run[1].output.splitlines()]
    assert len(lines) > 3
    for line in lines:
        assert (line["queue"], line["job"], line["attempt"]) == ("institution-extraction", "7", 1)
        assert line["run"] == "institution-extraction-abc"
        assert line["step"]


def test_the_database_commands_say_what_they_found(env: dict[str, str], tmp_path: Path) -> None:
    env["DATABASE_URL"] = f"sqlite:///{tmp_path}/new.db"
    check = subprocess.run([*COMMAND, "db", "check"], env=env, capture_output=True, text=True)
    assert check.returncode == ExitCode.TRY_AGAIN
    assert "has no tables yet" in check.stderr
    for action in ("upgrade", "check"):
        done = subprocess.run([*COMMAND, "db", action], env=env, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, f"the database is at revision {REVISION}\n")
