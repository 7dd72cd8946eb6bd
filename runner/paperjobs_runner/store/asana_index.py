"""Which tasks the Asana project has, whoever made them: read whole now and then, and kept up with between.

The tasks themselves are rows of `asana_tasks`: with a number, and nothing to be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from paperjobs_runner.store.asana_tasks import SYNCED, utc
from paperjobs_runner.store.models import AsanaProject, AsanaTask
from paperjobs_runner.store.upsert import insert_into


@dataclass(frozen=True, kw_only=True)
class Known:
    """How far the project's tasks are known; UTC."""

    until: datetime
    read_whole_at: datetime


def known(connection: Connection, project: str) -> Known | None:
    """How far the project's tasks are known; None when they are not."""
    row = connection.execute(
        select(AsanaProject.known_until, AsanaProject.read_whole_at).where(AsanaProject.project == project)
    ).one_or_none()
    if row is None:
        return None
    until, read_whole_at = utc(row.known_until), utc(row.read_whole_at)
    return Known(until=until, read_whole_at=read_whole_at) if until and read_whole_at else None


def number_of(connection: Connection, project: str, arxiv_id: str) -> str | None:
    """Asana's number of the paper's task, as far as it is known."""
    return connection.execute(
        select(AsanaTask.gid).where(AsanaTask.project == project, AsanaTask.arxiv_id == arxiv_id)
    ).scalar()


def remember(
    connection: Connection, project: str, tasks: Mapping[str, str], *, began_at: datetime, whole: bool
) -> None:
    """Note the tasks' numbers by arXiv identifier, as found by looking through the project (the `whole`, or what was
    changed of it) from `began_at` on. A number that is known already stays."""
    # In one order everywhere: two runs that note the same tasks would otherwise deadlock.
    for arxiv_id, gid in sorted(tasks.items()):
        statement = insert_into(connection, AsanaTask).values(
            project=project, arxiv_id=arxiv_id, gid=gid, state=SYNCED, failures=0, updated_at=began_at
        )
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["project", "arxiv_id"], set_={"gid": gid}, where=AsanaTask.gid.is_(None)
            )
        )
    statement = insert_into(connection, AsanaProject).values(
        project=project, known_until=began_at, read_whole_at=began_at
    )
    latest = func.max if connection.dialect.name == "sqlite" else func.greatest
    changed = {"known_until": latest(AsanaProject.known_until, statement.excluded.known_until)}
    if whole:
        changed["read_whole_at"] = latest(AsanaProject.read_whole_at, statement.excluded.read_whole_at)
    connection.execute(statement.on_conflict_do_update(index_elements=["project"], set_=changed))
