"""Which run of a job may write: the one that began last.

A run registers when it begins and gets a generation; it may write only while that is still the job's newest. The claim
number alone would not do: BullMQ counts it from 1 again when a job is removed and added under its old id. So Redis is
asked first whether the claim is the job's present one: what registered before that moment belongs to an older claim,
whatever its number, and is replaced at once. Only where Redis cannot say it, a lower claim is refused while a run of a
higher one may still be working.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from paperjobs_runner.contract import Assignment
from paperjobs_runner.errors import Superseded
from paperjobs_runner.store.models import RunRecord
from paperjobs_runner.store.upsert import insert_into


def begin_run(
    connection: Connection, assignment: Assignment, now: datetime, *, confirmed_at: datetime | None = None
) -> int:
    """Register the run as its job's newest; returns its generation. Raises Superseded when a newer one works.

    `confirmed_at` is when Redis said that the claim is the job's present one, if it did.
    """
    statement = insert_into(connection, RunRecord).values(
        queue=_queue(assignment),
        job_id=assignment.job_id,
        pipeline=assignment.pipeline,
        run=assignment.run,
        claim=assignment.claim,
        attempt=assignment.attempt,
        generation=1,
        started_at=now,
        finished_at=None,
    )
    generation = connection.execute(
        statement.on_conflict_do_update(
            index_elements=["queue", "job_id"],
            set_={
                **{name: statement.excluded[name] for name in ("pipeline", "run", "claim", "attempt", "started_at")},
                "generation": RunRecord.generation + 1,
                "finished_at": None,
            },
            where=or_(RunRecord.claim <= assignment.claim, _over(assignment, now, confirmed_at)),
        ).returning(RunRecord.generation)
    ).scalar()
    if generation is None:
        raise Superseded
    return int(generation)


def hold_fence(connection: Connection, assignment: Assignment, generation: int) -> None:
    """Lock the job's registration for this transaction; raises Superseded unless it is still this run's."""
    current = connection.execute(select(RunRecord.generation).where(_ours(assignment)).with_for_update()).scalar()
    if current != generation:
        raise Superseded


def end_run(connection: Connection, assignment: Assignment, now: datetime) -> None:
    """Note that the run has written what it had to."""
    connection.execute(update(RunRecord).where(_ours(assignment)).values(finished_at=now))


def _over(assignment: Assignment, now: datetime, confirmed_at: datetime | None) -> ColumnElement[bool]:
    """Whether the run that is registered no longer counts, although its claim number is higher."""
    if confirmed_at is not None:
        return RunRecord.started_at < confirmed_at
    may_still_work = now - timedelta(seconds=assignment.timeout_seconds)
    return or_(RunRecord.finished_at.is_not(None), RunRecord.started_at < may_still_work)


def _ours(assignment: Assignment) -> ColumnElement[bool]:
    return and_(RunRecord.queue == _queue(assignment), RunRecord.job_id == assignment.job_id)


def _queue(assignment: Assignment) -> str:
    return f"{assignment.prefix}:{assignment.queue}"
