"""This run's record in the database: opened before anything costs money, written once at the end."""

from __future__ import annotations

from datetime import UTC, datetime

from paperjobs_runner.payload import PaperPayload
from paperjobs_runner.pipelines.context import RunContext
from paperjobs_runner.services.arxiv_feed import PaperMetadata
from paperjobs_runner.services.patience import with_patience
from paperjobs_runner.store.findings import Findings, PaperFacts, Provenance


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

    def write(
        self, payload: PaperPayload, paper: PaperMetadata, findings: Findings, provenance: Provenance
    ) -> int | None:
        """Store everything in one transaction; returns the newer version that is stored already, if there is one."""
        from paperjobs_runner.store.session import transaction
        from paperjobs_runner.store.write import write_findings

        facts = PaperFacts(
            paper_id=payload.paper_id,
            arxiv_id=paper.id,
            title=paper.title,
            abstract=paper.abstract,
            primary_category=paper.primary_category,
            doi=paper.doi,
            published_at=paper.published,
            updated_at=paper.updated,
        )

        def write() -> int | None:
            with transaction(self._engine) as connection:
                return write_findings(
                    connection,
                    assignment=self._assignment,
                    generation=self._generation,
                    paper=facts,
                    findings=findings,
                    provenance=provenance,
                    now=datetime.now(UTC),
                )

        try:
            # With patience: a database that fails over must not cost a second round of Adobe and Claude.
            return with_patience(write, deadline=self._deadline)
        finally:
            self._engine.dispose()
