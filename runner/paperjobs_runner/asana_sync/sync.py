"""Tells Asana about one paper:

    lease ▶ what the database knows ▶ find, or still there? ▶ make or change ▶ settle

The lease is on the task's row, so that two runs never make two tasks of one paper; no transaction is open while Asana
is asked. A failure is written into the row, never raised: Asana must not fail a paper's job.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine

from paperjobs_runner.asana_sync.content import TaskContent, paper_of, task_content
from paperjobs_runner.asana_sync.index import ProjectIndex
from paperjobs_runner.asana_sync.schedule import NO_TIME, pause_after
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import RunnerError, ServiceFailed
from paperjobs_runner.interrupt import OutOfTime
from paperjobs_runner.services.asana import Asana
from paperjobs_runner.services.asana_errors import AsanaTaskMissing, AsanaTaskRefused
from paperjobs_runner.settings_asana import AsanaSettings
from paperjobs_runner.store import asana_tasks
from paperjobs_runner.store.asana_tasks import Lease
from paperjobs_runner.store.session import transaction

LEASE: Final = timedelta(minutes=15)
"""For this long nobody else touches the task. Who holds it stops after `WORK_S` and the waits of one last call (a
minute for its turn, half a minute for its answer): far enough from the end for clocks that differ by minutes."""
WORK_S: Final = 240.0
"""Seconds of work on one task; two calls mostly, and one for each hundred tasks when the whole project is looked
through."""
BUSY_WAIT_S: Final = 10.0
"""Seconds to wait for another one's work on the same task, which mostly takes one."""
BUSY_LOOK_S: Final = 0.3
BUSY: Final = "another run is at work on the paper's task; it is told the rest later"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one task stands."""

    arxiv_id: str
    gid: str | None = None
    error: str | None = None
    """None when Asana knows everything."""
    all_suffer: bool = False
    """The failure is not this task's own: the next one would fail as well."""


class Synchroniser:
    """Tells Asana about papers, one after the other."""

    def __init__(
        self,
        *,
        engine: Engine,
        settings: AsanaSettings,
        asana: Asana,
        deadline: Deadline,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._asana = asana
        self._deadline = deadline
        self._now = now
        self._index = ProjectIndex(engine=engine, settings=settings, asana=asana, now=now)

    def sync(self, arxiv_id: str) -> Outcome:
        """Tell Asana what the database knows of the paper; raises the database's errors only."""
        lease = self._lease(arxiv_id)
        if lease is None:
            return Outcome(arxiv_id=arxiv_id, error=BUSY)
        try:
            return self._work(lease)
        except OutOfTime:
            return self._failed(lease, ServiceFailed(NO_TIME))
        except BaseException:
            # A SIGTERM or the database: whoever comes next need not wait for the lease to end.
            with suppress(RunnerError), transaction(self._engine) as connection:
                asana_tasks.give_back(connection, lease)
            raise

    def due(self, limit: int | None, *, every: bool = False) -> list[str]:
        """The papers that Asana is to be told of now (all that it is ever to be told of, if `every`)."""
        with transaction(self._engine) as connection:
            return asana_tasks.due_tasks(
                connection, self._settings.project, now=None if every else self._now(), limit=limit
            )

    def _lease(self, arxiv_id: str) -> Lease | None:
        """The task's lease; None while another one keeps it, who tells Asana what we have stored, or leaves it due."""
        holder = secrets.token_hex(8)
        give_up_at = self._deadline.clock() + BUSY_WAIT_S
        while True:
            now = self._now()
            with transaction(self._engine) as connection:
                lease = asana_tasks.take_lease(
                    connection, self._settings.project, arxiv_id, holder=holder, now=now, until=now + LEASE
                )
            if lease is not None or self._deadline.clock() >= give_up_at or not self._deadline.allows(BUSY_LOOK_S):
                return lease
            self._deadline.sleep(BUSY_LOOK_S)

    def _work(self, lease: Lease) -> Outcome:
        with transaction(self._engine) as connection:
            facts = asana_tasks.facts_of(connection, lease.arxiv_id)
            if facts is None:
                asana_tasks.forget(connection, lease)
                return Outcome(arxiv_id=lease.arxiv_id)
        content = task_content(facts, self._settings)
        try:
            gid = self._told(content, lease)
        except RunnerError as error:
            return self._failed(lease, error)
        with transaction(self._engine) as connection:
            asana_tasks.lock(connection, lease)
            facts = asana_tasks.facts_of(connection, lease.arxiv_id)
            # What was stored meanwhile is due at once: its run found the task busy, or will find it free.
            due = facts is not None and task_content(facts, self._settings).digest != content.digest
            asana_tasks.settle_synced(connection, lease, gid=gid, content_hash=content.digest, due=due, now=self._now())
        return Outcome(arxiv_id=lease.arxiv_id, gid=gid)

    def _told(self, content: TaskContent, lease: Lease) -> str:
        """The number of the paper's task, which says what it should."""
        data: dict[str, Any] = {"name": content.name, "notes": content.notes}
        data |= {"custom_fields": dict(content.fields)} if content.fields else {}
        known = lease.gid
        if known is None:
            known = self._index.find(content.arxiv_id, unnoted_since=lease.tried_at)
        if known is not None:
            if self._knows(known, data, content, lease):
                return known
            # Gone; perhaps there is another one.
            if (other := self._index.find(content.arxiv_id, whole=True, but=known)) is not None:
                self._asana.change(other, data)
                return other
        return self._asana.make(data, lambda: self._index.find(content.arxiv_id, whole=True, but=known))

    def _knows(self, gid: str, data: dict[str, Any], content: TaskContent, lease: Lease) -> bool:
        """Make sure that the task says what it should; False when there is none (any more)."""
        try:
            if lease.gid is not None:
                task = self._asana.task(gid)
                # Somebody may have made it another paper's.
                if task is None or paper_of(task, self._settings) not in (None, content.arxiv_id):
                    return False
            if lease.gid is None or lease.content_hash != content.digest:
                self._asana.change(gid, data)
        except AsanaTaskMissing:
            return False
        return True

    def _failed(self, lease: Lease, error: RunnerError) -> Outcome:
        now = self._now()
        with transaction(self._engine) as connection:
            asana_tasks.settle_failed(
                connection,
                lease,
                error=error.message,
                next_try_at=now + pause_after(error, lease.failures + 1),
                now=now,
            )
        own = isinstance(error, AsanaTaskRefused | AsanaTaskMissing)
        return Outcome(arxiv_id=lease.arxiv_id, gid=lease.gid, error=error.message, all_suffer=not own)
