"""The last stage of a run that knows a paper: Asana is told of it, and of what earlier runs could not tell.

Whatever happens here, the paper's job has succeeded: its results are stored before this begins.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from paperjobs_runner.asana_sync.schedule import NO_TIME
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import RunnerError
from paperjobs_runner.interrupt import OutOfTime
from paperjobs_runner.pipelines.context import RunContext

if TYPE_CHECKING:
    from paperjobs_runner.asana_sync.sync import Outcome, Synchroniser
    from paperjobs_runner.settings_asana import AsanaSettings

RESERVE_S: Final = 15.0
"""Seconds of the run's time that are not Asana's: the run's end must not depend on it."""
NEEDED_S: Final = 20.0
"""Seconds without which it is not begun."""
OTHERS: Final = 3
"""Tasks of other papers that a run tells Asana of. More is the business of `paperjobs-runner asana sync`: a run holds
a slot of its queue."""
OTHERS_S: Final = 60.0
"""Seconds after which no more of them is begun."""

_log = logging.getLogger(__name__)


def tell_asana(context: RunContext, arxiv_id: str) -> Mapping[str, Any]:
    """Tell Asana of the paper (base identifier); returns what the job's return value says of it under `asana`: nothing
    when Asana is not set up. Raises nothing but what ends a run from outside."""
    settings = context.settings.asana
    if settings is None:
        return {}
    context.step(95, "telling Asana")
    try:
        outcome = _tell(context, settings, arxiv_id)
    except RunnerError as error:  # the database's
        return _pending(context, error.message)
    except OutOfTime:
        return _pending(context, NO_TIME)
    except Exception as error:
        _log.exception("Asana could not be told")
        return _pending(context, f"unexpected {type(error).__name__}; the run's log has the details")
    if outcome.error is not None:
        return _pending(context, outcome.error)
    context.tell(f"Asana's task {outcome.gid} says what is known of the paper")
    return {"asana": {"state": "synced", "gid": outcome.gid}}


def _tell(context: RunContext, settings: AsanaSettings, arxiv_id: str) -> Outcome:
    from paperjobs_runner.asana_sync.sync import WORK_S, Outcome, Synchroniser
    from paperjobs_runner.services.asana import Asana
    from paperjobs_runner.store import asana_tasks
    from paperjobs_runner.store.session import open_engine, transaction

    run = context.deadline
    deadline = Deadline(at=min(run.at - RESERVE_S, run.clock() + WORK_S), clock=run.clock, sleep=run.sleep)
    engine = open_engine(context.settings.database_url)
    try:
        if deadline.remaining() < NEEDED_S:
            with transaction(engine) as connection:
                asana_tasks.ask_for_sync(connection, settings.project, arxiv_id, error=NO_TIME, now=datetime.now(UTC))
            return Outcome(arxiv_id=arxiv_id, error=NO_TIME)
        with closing(Asana(settings, deadline, context.budgets)) as asana:
            synchroniser = Synchroniser(engine=engine, settings=settings, asana=asana, deadline=deadline)
            outcome = synchroniser.sync(arxiv_id)
            if not outcome.all_suffer:
                _tell_of_others(context, synchroniser, deadline)
        return outcome
    finally:
        engine.dispose()


def _tell_of_others(context: RunContext, synchroniser: Synchroniser, deadline: Deadline) -> None:
    """Of what is due; a failure here is written to its row and is no news about this run's paper."""
    stop_at = deadline.clock() + OTHERS_S
    try:
        for arxiv_id in synchroniser.due(OTHERS):
            if deadline.clock() >= stop_at or not deadline.allows(NEEDED_S):
                return
            outcome = synchroniser.sync(arxiv_id)
            context.tell(f"Asana, task of {arxiv_id} left by an earlier run: {outcome.error or 'told'}")
            if outcome.all_suffer:
                return
    except (RunnerError, OutOfTime) as error:
        _log.warning("Asana could not be told of earlier runs' papers", extra={"error": type(error).__name__})


def _pending(context: RunContext, error: str) -> Mapping[str, Any]:
    context.tell(f"Asana has not been told of the paper, which is tried again later: {error}")
    return {"asana": {"state": "pending", "error": error}}
