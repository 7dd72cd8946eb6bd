"""Reads what was stored, for people: the demo's table, the command line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, select

from paperjobs_runner.database_url import normalise_database_url
from paperjobs_runner.store.models import Author, AuthorInstitution, Institution, Paper, PaperInstitution, Result
from paperjobs_runner.store.session import open_engine, transaction


@dataclass(frozen=True, kw_only=True)
class AuthorResult:
    """An author and the names of their institutions."""

    name: str
    institutions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PaperResult:
    """A paper, its institutions in the order of their mention, and its authors in arXiv's order."""

    paper_id: str
    arxiv_id: str
    """With version, such as `2301.12345v2`."""
    title: str
    institutions: tuple[str, ...]
    authors: tuple[AuthorResult, ...]
    written_at: datetime | None
    """UTC; when institution extraction last wrote, None when it never did."""


def read_results(database_url: str) -> list[PaperResult]:
    """Every stored paper, by paper id. `database_url` as in DATABASE_URL."""
    engine = open_engine(normalise_database_url(database_url))
    try:
        with transaction(engine) as connection:
            return _read(connection)
    finally:
        engine.dispose()


def _read(connection: Connection) -> list[PaperResult]:
    institutions: dict[int, list[str]] = {}
    for paper, name in connection.execute(
        select(PaperInstitution.paper, Institution.name)
        .join(Institution, Institution.id == PaperInstitution.institution)
        .order_by(PaperInstitution.position)
    ):
        institutions.setdefault(paper, []).append(name)
    authors: dict[int, dict[int, tuple[str, list[str]]]] = {}
    for paper, author, name, institution in connection.execute(
        select(Author.paper, Author.id, Author.name, Institution.name)
        .outerjoin(AuthorInstitution, AuthorInstitution.author == Author.id)
        .outerjoin(Institution, Institution.id == AuthorInstitution.institution)
        .order_by(Author.position, AuthorInstitution.position)
    ):
        names = authors.setdefault(paper, {}).setdefault(author, (name, []))[1]
        if institution is not None:
            names.append(institution)
    papers = connection.execute(
        select(Paper.id, Paper.paper_id, Paper.arxiv_id, Paper.version, Paper.title, Result.written_at)
        .outerjoin(Result, (Result.paper == Paper.id) & (Result.pipeline == "institution-extraction"))
        .order_by(Paper.paper_id)
    )
    return [
        PaperResult(
            paper_id=row.paper_id,
            arxiv_id=f"{row.arxiv_id}v{row.version}",
            title=row.title,
            institutions=tuple(institutions.get(row.id, ())),
            authors=tuple(
                AuthorResult(name=name, institutions=tuple(names)) for name, names in authors.get(row.id, {}).values()
            ),
            # SQLite forgets the zone; what is written is UTC.
            written_at=row.written_at.replace(tzinfo=row.written_at.tzinfo or UTC) if row.written_at else None,
        )
        for row in papers
    ]
