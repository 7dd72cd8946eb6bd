"""The institutions of a paper and of its authors, as one pipeline found them.

Rows that another pipeline wrote are not touched; the views put both together (models.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, delete, insert, select, update

from paperjobs_runner.store.authors import write_author_rows
from paperjobs_runner.store.findings import Findings, FoundAuthor, FoundInstitution
from paperjobs_runner.store.models import AuthorInstitution, Institution, PaperInstitution
from paperjobs_runner.store.upsert import insert_into


def write_findings(connection: Connection, paper: int, pipeline: str, findings: Findings) -> None:
    """Make these the institutions and links that the pipeline found."""
    author_ids = write_author_rows(connection, paper, [author.name for author in findings.authors])
    ids = _write_institutions(connection, findings.institutions)
    _write_mentions(connection, paper, pipeline, findings.institutions, ids)
    _write_links(connection, author_ids, pipeline, findings.authors, ids)


def _write_institutions(connection: Connection, institutions: Sequence[FoundInstitution]) -> Mapping[str, int]:
    """Primary key of each institution by its key; a country is added where none is known."""
    # In one order everywhere: two papers with the same institutions would otherwise deadlock.
    for found in sorted(institutions, key=lambda found: found.key):
        statement = insert_into(connection, Institution).values(key=found.key, name=found.name, country=found.country)
        connection.execute(statement.on_conflict_do_nothing(index_elements=["key"]))
        if found.country is not None:
            unknown = (Institution.key == found.key) & Institution.country.is_(None)
            connection.execute(update(Institution).where(unknown).values(country=found.country))
    keys = [found.key for found in institutions]
    rows = connection.execute(select(Institution.key, Institution.id).where(Institution.key.in_(keys)))
    return {row.key: row.id for row in rows}


def _write_mentions(
    connection: Connection,
    paper: int,
    pipeline: str,
    institutions: Sequence[FoundInstitution],
    ids: Mapping[str, int],
) -> None:
    wanted = [
        {
            "paper": paper,
            "institution": ids[found.key],
            "pipeline": pipeline,
            "position": position,
            "department": found.department,
            "country": found.country,
            "evidence": found.evidence,
            "page": found.page,
            "span_start": found.span_start,
            "span_end": found.span_end,
        }
        for position, found in enumerate(institutions)
    ]
    ours = (PaperInstitution.paper == paper) & (PaperInstitution.pipeline == pipeline)
    stored = connection.execute(select(PaperInstitution.__table__).where(ours).order_by(PaperInstitution.position))
    if [dict(row) for row in stored.mappings()] == wanted:
        return
    connection.execute(delete(PaperInstitution).where(ours))
    if wanted:
        connection.execute(insert(PaperInstitution), wanted)


def _write_links(
    connection: Connection,
    author_ids: Sequence[int],
    pipeline: str,
    authors: Sequence[FoundAuthor],
    ids: Mapping[str, int],
) -> None:
    wanted = [
        (author_id, ids[key], position)
        for author_id, author in zip(author_ids, authors, strict=True)
        for position, key in enumerate(key for key in author.institution_keys if key in ids)
    ]
    ours = AuthorInstitution.author.in_(author_ids) & (AuthorInstitution.pipeline == pipeline)
    columns = (AuthorInstitution.author, AuthorInstitution.institution, AuthorInstitution.position)
    if {tuple(row) for row in connection.execute(select(*columns).where(ours))} == set(wanted):
        return
    connection.execute(delete(AuthorInstitution).where(ours))
    if wanted:
        connection.execute(
            insert(AuthorInstitution),
            [
                {"author": author, "institution": institution, "pipeline": pipeline, "position": position}
                for author, institution, position in wanted
            ],
        )
