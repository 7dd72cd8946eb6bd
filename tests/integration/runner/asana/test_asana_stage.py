"""Asana at the end of a run, and by command: no failure of Asana is one of the paper, and none is forgotten."""

from __future__ import annotations

import io
import logging
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from sqlalchemy import Engine

from paperjobs_runner.asana_sync.schedule import NO_TIME
from paperjobs_runner.asana_sync.stage import tell_asana
from paperjobs_runner.asana_sync.sync import Synchroniser
from paperjobs_runner.contract import Assignment, ExitCode
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import BudgetSpent, RateLimited
from paperjobs_runner.interrupt import Interrupted, OutOfTime
from paperjobs_runner.jsonlog import RunLog
from paperjobs_runner.pipelines.context import RunContext
from paperjobs_runner.redaction import Redactor
from paperjobs_runner.services.allowance import NO_BUDGETS, Allowance
from paperjobs_runner.services.progress import Progress
from paperjobs_runner.settings import read_settings
from paperjobs_runner.store import asana_tasks
from paperjobs_runner.store.migrate import upgrade
from paperjobs_runner.store.session import open_engine, transaction
from paperjobs_standins.server import Standins
from support.asana_tasks import add_paper, row
from support.runner_process import COMMAND

PAPER = "2301.12345"


@pytest.fixture
def env(standins: Standins, tmp_path: Path) -> dict[str, str]:
    url = f"sqlite:///{tmp_path}/papers.db"
    upgrade(url)
    others = {"ANTHROPIC_API_KEY": "sk-ant-1", "PAPERJOBS_STORAGE_DIR": str(tmp_path), "DATABASE_URL": url}
    return standins.asana.env() | others


@pytest.fixture
def engine(env: dict[str, str]) -> Iterator[Engine]:
    engine = open_engine(env["DATABASE_URL"])
    add_paper(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def log() -> Iterator[RunLog]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield RunLog(io.StringIO())
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def context(env: dict[str, str], log: RunLog, tmp_path: Path) -> RunContext:
    assignment = Assignment(
        queue="llm-processing",
        prefix="bull",
        pipeline="llm-processing",
        job_id="1",
        job_name="",
        run="run-1",
        claim=1,
        attempt=1,
        payload=None,
        timeout_seconds=120,
    )
    return RunContext(
        assignment=assignment,
        payload="{}",
        confirmed_at=None,
        settings=read_settings(env),
        deadline=Deadline.after(120),
        budgets=NO_BUDGETS,
        progress=Progress(assignment, None, Redactor()),
        log=log,
        folder=tmp_path,
    )


def quick(context: RunContext) -> RunContext:
    """Pauses between tries take no time."""
    return replace(context, deadline=replace(context.deadline, sleep=lambda _: None))


def pending(engine: Engine, context: RunContext, *arxiv_ids: str) -> None:
    """Papers whose tasks an earlier run could not make."""
    assert context.settings.asana is not None
    for arxiv_id in arxiv_ids:
        add_paper(engine, arxiv_id)
        with transaction(engine) as connection:
            project, now = context.settings.asana.project, datetime.now(UTC)
            asana_tasks.ask_for_sync(connection, project, arxiv_id, error="was down", now=now)


def names(standins: Standins) -> list[str]:
    return [task["name"] for task in standins.asana.service.tasks.values()]


def test_without_asanas_settings_nothing_is_done_and_nothing_said(context: RunContext, standins: Standins) -> None:
    assert tell_asana(replace(context, settings=replace(context.settings, asana=None)), PAPER) == {}
    assert standins.asana.requests == ()


def test_the_return_value_names_the_task(context: RunContext, engine: Engine, standins: Standins) -> None:
    told = tell_asana(context, PAPER)
    assert told == {"asana": {"state": "synced", "gid": next(iter(standins.asana.service.tasks))}}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "status", "status": 500}, "Asana failed with status 500"),
        ({"kind": "status", "status": 401}, "ASANA_API_KEY"),
        ({"kind": "status", "status": 403}, "ASANA_PAPERS_PROJECT_ID"),
        ({"kind": "status", "status": 429, "retry_after": 900}, "Asana asks to wait 900 s"),
        ({"kind": "reset"}, "cannot be reached"),
        ({"kind": "garbage"}, "cannot be read"),
        ({"kind": "empty"}, "cannot be read"),
    ],
)
def test_a_failure_is_told_kept_and_mended_by_a_later_run(
    context: RunContext, engine: Engine, standins: Standins, fault: Mapping[str, Any], error: str
) -> None:
    standins.asana.fault(**fault, times=None)
    told = tell_asana(quick(context), PAPER)["asana"]
    assert told["state"] == "pending"
    assert error in told["error"]
    assert (row(engine).state, row(engine).error) == ("pending", told["error"])
    standins.clear()
    assert tell_asana(context, PAPER)["asana"]["state"] == "synced"  # the paper's own run does not wait


def test_a_budget_that_is_spent_does_not_give_the_job_back(context: RunContext, engine: Engine) -> None:
    class Spent:
        def of(self, service: str, otherwise: Allowance) -> Allowance:
            return self

        def draw(self) -> None:
            raise BudgetSpent("the budget asana is used up", retry_after_ms=5000)

        def hold(self, asked: RateLimited) -> bool:
            return True

    told = tell_asana(replace(context, budgets=Spent()), PAPER)
    assert told == {"asana": {"state": "pending", "error": "the budget asana is used up"}}


def test_a_database_that_fails_does_not_fail_the_job_either(context: RunContext, tmp_path: Path) -> None:
    settings = replace(context.settings, database_url=f"sqlite:///{tmp_path}/empty.db")
    told = tell_asana(replace(context, settings=settings), PAPER)["asana"]
    assert told["state"] == "pending"
    assert "db upgrade" in told["error"]


def test_without_time_the_task_is_left_to_others(context: RunContext, engine: Engine, standins: Standins) -> None:
    told = tell_asana(replace(context, deadline=Deadline.after(30)), PAPER)
    assert told == {"asana": {"state": "pending", "error": NO_TIME}}
    assert (row(engine).state, row(engine).error) == ("pending", NO_TIME)
    assert standins.asana.requests == ()


@pytest.mark.parametrize("error", [OutOfTime(), KeyError("a bug"), Interrupted()])
def test_only_a_request_to_stop_passes_through(
    context: RunContext, engine: Engine, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(Synchroniser, "sync", broken)
    if isinstance(error, Interrupted):
        with pytest.raises(Interrupted):
            tell_asana(context, PAPER)
    else:
        assert tell_asana(context, PAPER)["asana"]["state"] == "pending"


def test_a_run_tells_of_three_earlier_papers_after_its_own(
    context: RunContext, engine: Engine, standins: Standins
) -> None:
    pending(engine, context, *(f"2401.0000{number}" for number in range(1, 6)))
    tell_asana(context, PAPER)
    assert names(standins) == ["On 2301.12345", "On 2401.00001", "On 2401.00002", "On 2401.00003"]


def test_while_asana_is_down_no_other_paper_is_tried(context: RunContext, engine: Engine, standins: Standins) -> None:
    pending(engine, context, "2401.00001")
    standins.asana.fault("status", status=401, times=None)
    tell_asana(context, PAPER)
    assert len(standins.asana.requests) == 1
    assert row(engine, "2401.00001").failures == 0


def test_another_papers_failure_is_not_this_papers(context: RunContext, engine: Engine, standins: Standins) -> None:
    tell_asana(context, PAPER)
    pending(engine, context, "2401.00001")
    standins.asana.fault("status", status=403, path="/projects/")
    assert tell_asana(context, PAPER)["asana"]["state"] == "synced"
    assert "ASANA_PAPERS_PROJECT_ID" in row(engine, "2401.00001").error


def command(env: Mapping[str, str], *arguments: str) -> tuple[int, list[str], str]:
    """Exit code, lines, and what went to standard error."""
    call = [*COMMAND, "asana", *arguments]
    ended = subprocess.run(call, env={**os.environ, **env}, capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stdout.splitlines(), ended.stderr


def test_the_command_tells_all_that_is_due_and_lists_what_is_not(
    context: RunContext, engine: Engine, env: dict[str, str], standins: Standins
) -> None:
    pending(engine, context, "2401.00001", "2401.00002", "2401.00003", "2401.00004")
    assert command(env, "status")[1][0] == "2401.00001: was down (failures: 0; next try: as soon as possible)"
    standins.asana.fault("status", status=400, method="POST")
    code, lines, _ = command(env, "sync")
    assert code == ExitCode.TRY_AGAIN
    assert lines == [
        "2401.00001: Asana refuses the task (400)",
        "2401.00002: told",
        "2401.00003: told",
        "2401.00004: told",
        "3 told, 1 failed, 0 not tried",
    ]
    code, lines, _ = command(env, "status")
    assert (code, len(lines)) == (ExitCode.DONE, 2)
    assert lines[0].startswith("2401.00001: Asana refuses the task (400) (failures: 1; next try: 20")
    assert command(env, "sync")[:2] == (ExitCode.DONE, ["0 told, 0 failed, 0 not tried"])
    assert command(env, "sync", "--all")[:2] == (
        ExitCode.DONE,
        ["2401.00001: told", "1 told, 0 failed, 0 not tried"],
    )
    assert command(env, "status")[1] == ["0 pending"]


def test_the_command_stops_at_a_failure_that_all_would_suffer_and_never_shows_the_key(
    context: RunContext, engine: Engine, env: dict[str, str], standins: Standins
) -> None:
    pending(engine, context, "2401.00001", "2401.00002")
    code, lines, errors = command(env | {"ASANA_API_KEY": "2/planted-secret"}, "sync")
    assert code == ExitCode.TRY_AGAIN
    assert "the token in ASANA_API_KEY is not valid" in lines[0]
    assert lines[1:] == ["0 told, 1 failed, 1 not tried"]
    assert "planted" not in "".join(lines) + errors
    assert len(standins.asana.requests) == 1


def test_the_command_says_what_is_missing(env: dict[str, str], tmp_path: Path) -> None:
    code, _, said = command({**env, "ASANA_API_KEY": "", "DATABASE_URL": ""}, "sync")
    assert code == ExitCode.TRY_AGAIN
    assert "ASANA_API_KEY" in said
    assert "DATABASE_URL" in said
    unset = {name: "" for name in env if name.startswith("ASANA_")}
    code, lines, _ = command(env | unset, "sync")
    assert (code, lines) == (ExitCode.DONE, ["Asana is not set up: set ASANA_API_KEY and ASANA_PAPERS_PROJECT_ID"])
    code, _, said = command(env | {"DATABASE_URL": f"sqlite:///{tmp_path}/none.db"}, "status")
    assert code == ExitCode.TRY_AGAIN
    assert "db upgrade" in said
    assert command(env, "snyc")[0] == 2


async def test_the_command_draws_on_the_budget_in_redis(
    context: RunContext, engine: Engine, env: dict[str, str], valkey_port: int, redis_client: redis.asyncio.Redis
) -> None:
    pending(engine, context, "2401.00001")
    code, lines, _ = command(env | {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(valkey_port)}, "sync")
    assert (code, lines[0]) == (ExitCode.DONE, "2401.00001: told")
    assert await redis_client.zcard("{paperjobs}:budget:asana:calls") == 2
