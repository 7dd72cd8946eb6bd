"""`paperjobs-runner asana sync` and `asana status`: what runs could not tell Asana, told by a cron job or a person."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from contextlib import closing
from typing import Final

from sqlalchemy import Engine

from paperjobs_runner.asana_sync.sync import WORK_S, Outcome, Synchroniser
from paperjobs_runner.contract import Assignment, Budget, ExitCode
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.services.allowance import NO_BUDGETS, Allowances
from paperjobs_runner.services.asana import Asana
from paperjobs_runner.services.budgets import Budgets
from paperjobs_runner.settings import read_asana_command, read_database_url
from paperjobs_runner.settings_asana import AsanaSettings
from paperjobs_runner.store.asana_tasks import pending_tasks
from paperjobs_runner.store.revision import require_revision
from paperjobs_runner.store.session import connected, open_engine, transaction

COMMAND_S: Final = 900
"""Seconds after which no further task is begun; the next call of the command goes on."""

FREE_PLAN: Final = Budget(name="asana", max=150, per_ms=60_000)
"""Asana's own limit for a free workspace (developers.asana.com/docs/rate-limits); the installation's ApiBudget, which
is known in Redis, takes its place."""


def sync(env: Mapping[str, str], *, every: bool = False) -> ExitCode:
    """Tell Asana of every pending paper that is due (of every pending one, if `every`). DONE when it knows them all,
    TRY_AGAIN when some stay pending; raises RunnerError when nothing could be tried."""
    url, settings, redis = read_asana_command(env)
    if settings is None:
        _say("Asana is not set up: set ASANA_API_KEY and ASANA_PAPERS_PROJECT_ID")
        return ExitCode.DONE
    deadline = Deadline.after(COMMAND_S + WORK_S)
    engine = _opened(url)
    budgets = None if redis is None else Budgets(_assignment(), redis, deadline)
    try:
        outcomes, left = _sync(engine, settings, deadline, budgets or NO_BUDGETS, every=every)
    finally:
        engine.dispose()
        if budgets is not None:
            budgets.close()
    failed = sum(outcome.error is not None for outcome in outcomes)
    _say(f"{len(outcomes) - failed} told, {failed} failed, {left} not tried")
    return ExitCode.TRY_AGAIN if failed or left else ExitCode.DONE


def status(env: Mapping[str, str]) -> ExitCode:
    """Print what Asana has not been told, and why; raises RunnerError."""
    with connected(read_database_url(env)) as connection:
        require_revision(connection)
        tasks = pending_tasks(connection)
    for task in tasks:
        again = task.next_try_at.isoformat(timespec="seconds") if task.next_try_at else "as soon as possible"
        _say(f"{task.arxiv_id}: {task.error or 'not tried yet'} (failures: {task.failures}; next try: {again})")
    _say(f"{len(tasks)} pending")
    return ExitCode.DONE


def _sync(
    engine: Engine, settings: AsanaSettings, deadline: Deadline, budgets: Allowances, *, every: bool
) -> tuple[list[Outcome], int]:
    """What became of each paper, and how many were not tried."""
    outcomes: list[Outcome] = []
    with closing(Asana(settings, deadline, budgets)) as asana:
        synchroniser = Synchroniser(engine=engine, settings=settings, asana=asana, deadline=deadline)
        due = synchroniser.due(None, every=every)
        for arxiv_id in due:
            if deadline.remaining() < WORK_S:
                break
            outcome = synchroniser.sync(arxiv_id)
            outcomes.append(outcome)
            _say(f"{arxiv_id}: {outcome.error or 'told'}")
            if outcome.all_suffer:
                break
    return outcomes, len(due) - len(outcomes)


def _opened(url: str) -> Engine:
    engine = open_engine(url)
    with transaction(engine) as connection:
        require_revision(connection)
    return engine


def _assignment() -> Assignment:
    """How this command stands in the line before Asana, which is made for runs."""
    name = f"asana-sync-{secrets.token_hex(4)}"
    return Assignment(
        queue="asana-sync",
        prefix="paperjobs-runner",
        pipeline="asana-sync",
        job_id=name,
        job_name="",
        run=name,
        claim=1,
        attempt=1,
        payload=None,
        timeout_seconds=COMMAND_S,
        budgets=(FREE_PLAN,),
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
