"""This run's record in the database: opened before anything costs money, written once at the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from paperjobs_runner.pipelines.context import RunContext
from paperjobs_runner.services.patience import with_patience
from paperjobs_runner.store.findings import PaperFacts, Provenance

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from paperjobs_runner.store.write import Store

T = TypeVar("T")


class Record:
    """The database, checked and told of this run when it is opened."""

    def __init__(self, context: RunContext) -> None:
        # Here, not above: SQLAlchemy takes 0.2 s, and arXiv should be asked first.
        from paperjobs_runner.store.fence import begin_run
        from paperjobs_runner.store.revision import require_revision
        from paperjobs_runner.store.session import open_engine, transaction

        self._assignment = context.assignment
        self._deadline = context.deadline
        self._engine = open_engine(context.settings.database_url)
        with transaction(self._engine) as connection:
            require_revision(connection)
            self._generation = begin_run(
                connection, self._assignment, datetime.now(UTC), confirmed_at=context.confirmed_at
            )
        # Minutes pass before the result is written; an idle connection would only be in the server's way.
        self._engine.dispose()

    def transact(self, work: Callable[[Connection], T]) -> T:
        """What `work` makes of one transaction; with patience, so that a database that fails over costs no second round
        of Adobe and Claude."""
        from paperjobs_runner.store.session import transaction

        def attempt() -> T:
            with transaction(self._engine) as connection:
                return work(connection)

        try:
            return with_patience(attempt, deadline=self._deadline)
        finally:
            self._engine.dispose()

    def write(self, paper: PaperFacts, provenance: Provenance, store: Store) -> int | None:
        """Store everything in one transaction; returns the newer version that is stored already, if there is one."""
        from paperjobs_runner.store.write import write_result

        return self.transact(
            lambda connection: write_result(
                connection,
                assignment=self._assignment,
                generation=self._generation,
                paper=paper,
                provenance=provenance,
                store=store,
                now=datetime.now(UTC),
            )
        )
