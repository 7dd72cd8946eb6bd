"""Whatever hangs, and whenever the pod must leave: every pipeline reports in time, and what it had is used again."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psycopg
import pytest

from paperjobs_runner.contract import ExitCode
from paperjobs_runner.database_url import normalise_database_url
from paperjobs_runner.pipelines import PIPELINES
from paperjobs_runner.store.migrate import upgrade
from support.pipeline_runs import ALL, Surrounded, surrounded, until
from support.runner_process import end_of, run, start

LIMIT_S = 25
"""PAPERJOBS_TIMEOUT_SECONDS: five seconds of it are kept back, and five runs begin at once."""


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_service_that_hangs_ends_in_a_report_before_the_run_is_killed(
    pipeline: str, new_database: Path, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        runs = []
        for service in ALL:
            one = stack.enter_context(surrounded(pipeline, new_database, tmp_path / service))
            getattr(one.standins, service).fault("hang", seconds=60, times=None)
            env = one.env | {"PAPERJOBS_TIMEOUT_SECONDS": str(LIMIT_S)}
            runs.append((service, one, env, start(env), time.monotonic()))
        hung = 0
        for service, one, env, process, begun in runs:
            ended = end_of(env, process, seconds=LIMIT_S)
            assert time.monotonic() - begun < LIMIT_S, service
            assert ended.report is not None, f"{service}: {ended.output}"
            if ended.code == ExitCode.DONE:  # Asana never fails a job
                assert service == "asana" or not one.calls(service), service
            else:
                hung += one.calls(service) > 0
                assert (ended.code, ended.report.error_type) == (ExitCode.TRY_AGAIN, "DeadlineExceeded"), service
        assert hung >= 2, "nothing hung"


def _waits(one: Surrounded, process: subprocess.Popen[str], service: str, path: str) -> bool:
    """Whether the run has come to that service, or to its end."""
    return one.calls(service, path) > 0 or process.poll() is not None


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_sigterm_at_each_service_costs_no_attempt_and_the_next_run_uses_what_is_kept(
    pipeline: str, new_database: Path, tmp_path: Path
) -> None:
    waits = [
        ("arxiv", "/api/query"), ("arxiv", "/pdf/"), ("adobe", "/token"), ("adobe", "/operation"), ("s3", ""),
        ("anthropic", ""), ("asana", ""),
    ]  # fmt: skip
    with ExitStack() as stack:
        runs = []
        for number, (service, path) in enumerate(waits):
            one = stack.enter_context(surrounded(pipeline, new_database, tmp_path / str(number)))
            getattr(one.standins, service).fault("hang", seconds=60, times=None, path=path)
            runs.append((service, path, one, start(one.env)))
        interrupted = 0
        for service, path, one, process in runs:
            assert until(partial(_waits, one, process, service, path)), f"{service} {path}"
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            ended = end_of(one.env, process, seconds=20)
            if not one.calls(service, path):
                assert ended.code == ExitCode.DONE, f"{service}: {ended.output}"
                continue
            interrupted += 1
            assert time.monotonic() - begun < 10, f"{service} {path}"
            assert ended.code == ExitCode.INTERRUPTED, f"{service} {path}: {ended.output}"
            assert ended.report is not None
            assert ended.report.error_type == "Interrupted"
            fetched, extracted = one.calls("arxiv", "/pdf/"), one.calls("adobe", "/operation/extractpdf", "POST")
            one.standins.clear()
            ended = run(one.again())
            assert ended.code == ExitCode.DONE, f"{service} {path}: {ended.output}"
            if service in ("adobe", "anthropic", "asana") and fetched:
                assert one.calls("arxiv", "/pdf/") == 0, f"{service} {path}: the PDF was fetched again"
            if service in ("anthropic", "asana") and extracted:
                assert one.calls("adobe") == 0, f"{service}: the text was extracted again"
        assert interrupted >= 2, "nothing was interrupted"


def test_sigterm_while_the_pdfs_child_works_ends_both(new_database: Path, tmp_path: Path) -> None:
    with surrounded("institution-extraction", new_database, tmp_path / "run") as one:
        text = "BT /F1 9 Tf (a) Tj ET\n" * 1_500_000
        objects = ["<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>"]
        objects += ["<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>"]
        objects += [f"<</Length {len(text)}>>\nstream\n{text}\nendstream", "<</Type/Font/Subtype/Type1>>"]
        body = "".join(f"{number} 0 obj\n{it}\nendobj\n" for number, it in enumerate(objects, 1))
        one.standins.arxiv.fault("reply", path="/pdf/", body=f"%PDF-1.4\n{body}trailer\n<</Root 1 0 R>>\n%%EOF")
        env = one.env | dict.fromkeys(("ADOBE_CLIENT_ID", "ADOBE_CLIENT_SECRET"), "")
        process = start(env)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        assert until(lambda: process.poll() is not None or children.read_text().split())
        child = children.read_text().split()[0]
        process.send_signal(signal.SIGTERM)
        ended = end_of(env, process, seconds=10)
        assert ended.code == ExitCode.INTERRUPTED, ended.output
        assert not Path(f"/proc/{child}").exists()


def test_sigterm_while_another_writer_holds_sqlite_is_seen_at_once(new_database: Path, tmp_path: Path) -> None:
    with surrounded("auto-tagging", new_database, tmp_path / "run") as one:
        other = sqlite3.connect(tmp_path / "run" / "papers.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        process = start(one.env)
        assert until(lambda: one.calls("arxiv"))
        time.sleep(2)  # it waits for the database by now; there is nothing to see of it
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        ended = end_of(one.env, process, seconds=20)
        other.close()
        assert ended.code == ExitCode.INTERRUPTED, ended.output
        assert time.monotonic() - begun < 6


def test_sigterm_while_postgresql_waits_for_a_lock_is_seen_at_once(
    new_database: Path, tmp_path: Path, postgres_url: str
) -> None:
    upgrade(normalise_database_url(postgres_url))
    with (
        surrounded("auto-tagging", new_database, tmp_path / "run") as one,
        psycopg.connect(postgres_url) as other,
        psycopg.connect(postgres_url, autocommit=True) as looking,
    ):
        other.execute("LOCK TABLE paperjobs.papers IN ACCESS EXCLUSIVE MODE")
        env = one.env | {"DATABASE_URL": postgres_url}
        process = start(env)
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        assert until(lambda: (looking.execute(waiting).fetchone() or (0,))[0])
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        ended = end_of(env, process, seconds=20)
        assert ended.code == ExitCode.INTERRUPTED, ended.output
        assert time.monotonic() - begun < 6
