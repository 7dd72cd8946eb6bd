"""Writes one paper's findings in one transaction, so that doing it again changes nothing but a timestamp.

Two guards: the fence (an older run of the same job writes nothing), and the paper's version (findings from an older
version never replace those of a newer one).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, insert, or_, select, update

from paperjobs_runner.contract import Assignment
from paperjobs_runner.store.fence import end_run, hold_fence
from paperjobs_runner.store.findings import Findings, FoundInstitution, PaperFacts, Provenance
from paperjobs_runner.store.models import Author, AuthorInstitution, Institution, Paper, PaperInstitution, Result
from paperjobs_runner.store.upsert import insert_into


def write_findings(
    connection: Connection,
    *,
    assignment: Assignment,
    generation: int,
    paper: PaperFacts,
    findings: Findings,
    provenance: Provenance,
    now: datetime,
) -> int | None:
    """Store the findings; returns None, or the newer version already stored, which then stays as it is."""
    hold_fence(connection, assignment, generation)
    paper_pk = _write_paper(connection, paper)
    if paper_pk is None:
        end_run(connection, assignment, now)
        return connection.execute(select(Paper.version).where(Paper.paper_id == paper.paper_id)).scalar_one()
    ids = _write_institutions(connection, findings.institutions)
    _write_mentions(connection, paper_pk, findings, ids)
    _write_authors(connection, paper_pk, findings, ids)
    _write_result(
        connection,
        paper_pk=paper_pk,
        assignment=assignment,
        paper=paper,
        findings=findings,
        provenance=provenance,
        now=now,
    )
    end_run(connection, assignment, now)
    return None


def _write_paper(connection: Connection, paper: PaperFacts) -> int | None:
    """The paper's primary key; None when a newer version of the same paper is stored."""
    values = {
        "arxiv_id": paper.arxiv_id.base,
        "version": paper.arxiv_id.version or 1,
        "title": paper.title,
        "abstract": paper.abstract,
        "primary_category": paper.primary_category,
        "doi": paper.doi,
        "published_at": paper.published_at,
        "updated_at": paper.updated_at,
    }
    statement = insert_into(connection, Paper).values(paper_id=paper.paper_id, **values)
    return connection.execute(
        statement.on_conflict_do_update(
            index_elements=["paper_id"],
            set_={name: statement.excluded[name] for name in values},
            where=or_(Paper.arxiv_id != statement.excluded.arxiv_id, Paper.version <= statement.excluded.version),
        ).returning(Paper.id)
    ).scalar()


def _write_institutions(connection: Connection, institutions: tuple[FoundInstitution, ...]) -> Mapping[str, int]:
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


def _write_mentions(connection: Connection, paper: int, findings: Findings, ids: Mapping[str, int]) -> None:
    wanted = [
        (position, ids[found.key], found.department, found.evidence)
        for position, found in enumerate(findings.institutions)
    ]
    columns = (
        PaperInstitution.position,
        PaperInstitution.institution,
        PaperInstitution.department,
        PaperInstitution.evidence,
    )
    of_paper = PaperInstitution.paper == paper
    if [tuple(row) for row in connection.execute(select(*columns).where(of_paper).order_by(columns[0]))] == wanted:
        return
    connection.execute(delete(PaperInstitution).where(of_paper))
    rows = [
        {
            "paper": paper,
            "position": position,
            "institution": institution,
            "department": department,
            "evidence": evidence,
        }
        for position, institution, department, evidence in wanted
    ]
    if rows:
        connection.execute(insert(PaperInstitution), rows)


def _write_authors(connection: Connection, paper: int, findings: Findings, ids: Mapping[str, int]) -> None:
    wanted = [
        (author.name, tuple(ids[key] for key in author.institution_keys if key in ids)) for author in findings.authors
    ]
    if _stored_authors(connection, paper) == wanted:
        return
    connection.execute(delete(Author).where(Author.paper == paper))
    links = []
    for position, (name, institutions) in enumerate(wanted):
        statement = insert(Author).values(paper=paper, position=position, name=name).returning(Author.id)
        author = connection.execute(statement).scalar_one()
        links += [
            {"author": author, "institution": institution, "position": order}
            for order, institution in enumerate(institutions)
        ]
    if links:
        connection.execute(insert(AuthorInstitution), links)


def _stored_authors(connection: Connection, paper: int) -> list[tuple[str, tuple[int, ...]]]:
    rows = connection.execute(
        select(Author.id, Author.name, AuthorInstitution.institution)
        .outerjoin(AuthorInstitution, AuthorInstitution.author == Author.id)
        .where(Author.paper == paper)
        .order_by(Author.position, AuthorInstitution.position)
    )
    authors: dict[int, tuple[str, list[int]]] = {}
    for author, name, institution in rows:
        institutions = authors.setdefault(author, (name, []))[1]
        if institution is not None:
            institutions.append(institution)
    return [(name, tuple(institutions)) for name, institutions in authors.values()]


def _write_result(
    connection: Connection,
    *,
    paper_pk: int,
    assignment: Assignment,
    paper: PaperFacts,
    findings: Findings,
    provenance: Provenance,
    now: datetime,
) -> None:
    values = {
        "version": paper.arxiv_id.version or 1,
        "run": assignment.run,
        "extractor": provenance.extractor,
        "model": provenance.model,
        "prompt_version": provenance.prompt_version,
        "input_tokens": provenance.input_tokens,
        "output_tokens": provenance.output_tokens,
        "dropped": findings.dropped_institutions,
        "written_at": now,
    }
    statement = insert_into(connection, Result).values(paper=paper_pk, pipeline=assignment.pipeline, **values)
    changed = {name: statement.excluded[name] for name in values}
    connection.execute(statement.on_conflict_do_update(index_elements=["paper", "pipeline"], set_=changed))
