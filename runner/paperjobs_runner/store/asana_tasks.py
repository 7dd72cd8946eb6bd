"""Which Asana task belongs to which paper, what is still to be told to Asana, and who is at work on it.

A lease keeps two runs from making two tasks of one paper: it is taken and given back in short transactions, with the
calls to Asana between them. Whoever works on a task ends long before the lease does (`asana_sync.sync`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, and_, delete, or_, select, update

from paperjobs_runner.store.models import Abstract, AsanaTask, Paper
from paperjobs_runner.store.upsert import insert_into

SYNCED, PENDING = "synced", "pending"


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to work on one paper's task, and what is known of it."""

    project: str
    arxiv_id: str
    """Base identifier."""
    holder: str
    gid: str | None
    content_hash: str | None
    failures: int
    tried_at: datetime | None = None
    """UTC; when somebody may last have made a task without having noted it. None: never."""


@dataclass(frozen=True, kw_only=True)
class TaskFacts:
    """What the task of a paper is to say, as the database knows it."""

    arxiv_id: str
    """Base identifier."""
    version: int
    title: str
    abstract: str
    """arXiv's own."""
    summary: str = ""
    key_points: tuple[str, ...] = ()
    methods: str = ""
    results: str = ""
    limitations: str = ""


@dataclass(frozen=True, kw_only=True)
class PendingTask:
    """A task that Asana has not been told of, and why."""

    arxiv_id: str
    error: str | None
    failures: int
    next_try_at: datetime | None
    """UTC; None for at once."""


def take_lease(
    connection: Connection, project: str, arxiv_id: str, *, holder: str, now: datetime, until: datetime
) -> Lease | None:
    """Take the task to work on it; it is pending from here on. None while another one has it."""
    key = and_(AsanaTask.project == project, AsanaTask.arxiv_id == arxiv_id)
    before = connection.execute(
        select(AsanaTask.updated_at, AsanaTask.lease_by, AsanaTask.lease_until).where(key).with_for_update()
    ).one_or_none()
    statement = insert_into(connection, AsanaTask).values(
        project=project,
        arxiv_id=arxiv_id,
        state=PENDING,
        failures=0,
        lease_by=holder,
        lease_until=until,
        updated_at=now,
    )
    row = connection.execute(
        statement.on_conflict_do_update(
            index_elements=["project", "arxiv_id"],
            set_={"state": PENDING, "lease_by": holder, "lease_until": until},
            where=_free(now),
        ).returning(AsanaTask.gid, AsanaTask.content_hash, AsanaTask.failures)
    ).one_or_none()
    if row is None:
        return None
    return Lease(
        project=project,
        arxiv_id=arxiv_id,
        holder=holder,
        gid=row.gid,
        content_hash=row.content_hash,
        failures=row.failures,
        # A lease that nobody gave back: its holder may have worked until its end.
        tried_at=None if before is None else utc(before.lease_until if before.lease_by else before.updated_at),
    )


def ask_for_sync(connection: Connection, project: str, arxiv_id: str, *, error: str | None, now: datetime) -> None:
    """Note that the task is to be told something, by whoever has time for it; `error` says why not now."""
    statement = insert_into(connection, AsanaTask).values(
        project=project, arxiv_id=arxiv_id, state=PENDING, failures=0, error=error, updated_at=now
    )
    changed = {"state": PENDING, "error": error, "next_try_at": None, "updated_at": now}
    connection.execute(statement.on_conflict_do_update(index_elements=["project", "arxiv_id"], set_=changed))


def settle_synced(
    connection: Connection, lease: Lease, *, gid: str, content_hash: str, due: bool, now: datetime
) -> None:
    """Asana has been told; give the lease back. `due`: not of everything, so it is to be told again at once."""
    values = {
        "gid": gid,
        "content_hash": content_hash,
        "state": PENDING if due else SYNCED,
        "error": None,
        "failures": 0,
        "next_try_at": None,
        "updated_at": now,
    }
    _settle(connection, lease, values)


def settle_failed(connection: Connection, lease: Lease, *, error: str, next_try_at: datetime, now: datetime) -> None:
    """Asana has not been told; give the lease back."""
    values = {"error": error, "failures": lease.failures + 1, "next_try_at": next_try_at, "updated_at": now}
    _settle(connection, lease, values)


def give_back(connection: Connection, lease: Lease) -> None:
    """End the lease and change nothing else: the task stays pending."""
    _settle(connection, lease, {})


def forget(connection: Connection, lease: Lease) -> None:
    """There is no such paper any more."""
    connection.execute(delete(AsanaTask).where(_held(lease)))


def lock(connection: Connection, lease: Lease) -> None:
    """Until this transaction ends nobody can take or give back the lease: what is read now is read before them."""
    connection.execute(select(AsanaTask.state).where(_held(lease)).with_for_update())


def facts_of(connection: Connection, arxiv_id: str) -> TaskFacts | None:
    """What is known of the paper: the newest version that has a structured abstract, else the newest."""
    row = connection.execute(
        select(
            Paper.version,
            Paper.title,
            Paper.abstract,
            Abstract.summary,
            Abstract.key_points,
            Abstract.methods,
            Abstract.results,
            Abstract.limitations,
        )
        .outerjoin(Abstract, Abstract.paper == Paper.id)
        .where(Paper.arxiv_id == arxiv_id)
        .order_by(Abstract.version.desc().nulls_last(), Abstract.written_at.desc(), Paper.version.desc(), Paper.id)
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return TaskFacts(
        arxiv_id=arxiv_id,
        version=row.version,
        title=row.title,
        abstract=row.abstract,
        summary=row.summary or "",
        key_points=tuple(row.key_points or ()),
        methods=row.methods or "",
        results=row.results or "",
        limitations=row.limitations or "",
    )


def due_tasks(connection: Connection, project: str, *, now: datetime | None, limit: int | None = None) -> list[str]:
    """arXiv identifiers of the pending tasks that nobody works on and whose time has come (every one without `now`),
    those that wait longest first."""
    wanted = and_(AsanaTask.project == project, AsanaTask.state == PENDING)
    if now is not None:
        wanted = and_(wanted, _free(now), or_(AsanaTask.next_try_at.is_(None), AsanaTask.next_try_at <= now))
    order = (AsanaTask.next_try_at.nulls_first(), AsanaTask.updated_at, AsanaTask.arxiv_id)
    return list(connection.execute(select(AsanaTask.arxiv_id).where(wanted).order_by(*order).limit(limit)).scalars())


def pending_tasks(connection: Connection) -> list[PendingTask]:
    """Every task, of whatever project, that Asana has not been told of."""
    rows = connection.execute(
        select(AsanaTask.arxiv_id, AsanaTask.error, AsanaTask.failures, AsanaTask.next_try_at)
        .where(AsanaTask.state == PENDING)
        .order_by(AsanaTask.next_try_at.nulls_first(), AsanaTask.arxiv_id)
    )
    return [
        PendingTask(
            arxiv_id=row.arxiv_id,
            error=row.error,
            failures=row.failures,
            next_try_at=utc(row.next_try_at),
        )
        for row in rows
    ]


def utc(time: datetime | None) -> datetime | None:
    """A stored time with its zone, which SQLite forgets."""
    return time.replace(tzinfo=time.tzinfo or UTC) if time else None


def _settle(connection: Connection, lease: Lease, values: Mapping[str, object]) -> None:
    # Whoever lost the lease settles nothing: its successor knows better.
    connection.execute(update(AsanaTask).where(_held(lease)).values(**values, lease_by=None, lease_until=None))


def _free(now: datetime) -> ColumnElement[bool]:
    return or_(AsanaTask.lease_until.is_(None), AsanaTask.lease_until <= now)


def _held(lease: Lease) -> ColumnElement[bool]:
    return and_(
        AsanaTask.project == lease.project,
        AsanaTask.arxiv_id == lease.arxiv_id,
        AsanaTask.lease_by == lease.holder,
    )
