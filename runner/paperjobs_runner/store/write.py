"""Writes what one run found about a paper, in one transaction, so that doing it again changes nothing but a timestamp.

Two guards: the fence (an older run of the same job writes nothing), and the paper's version (findings from an older
version never replace those of a newer one). What a pipeline found is written by its own function, given here as
`store`; there is one module beside this one for each kind of findings.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, or_, select

from paperjobs_runner.contract import Assignment
from paperjobs_runner.store.fence import end_run, hold_fence
from paperjobs_runner.store.findings import PaperFacts, Provenance
from paperjobs_runner.store.models import Paper, Result
from paperjobs_runner.store.upsert import insert_into

Store = Callable[[Connection, int], None]
"""Writes a pipeline's findings about the paper with that primary key, within the transaction."""


def write_result(
    connection: Connection,
    *,
    assignment: Assignment,
    generation: int,
    paper: PaperFacts,
    provenance: Provenance,
    store: Store,
    now: datetime,
) -> int | None:
    """Store the findings; returns None, or the newer version already stored, which then stays as it is."""
    hold_fence(connection, assignment, generation)
    paper_pk = _write_paper(connection, paper)
    if paper_pk is None:
        end_run(connection, assignment, now)
        return connection.execute(select(Paper.version).where(Paper.paper_id == paper.paper_id)).scalar_one()
    store(connection, paper_pk)
    _write_provenance(connection, paper_pk, assignment=assignment, paper=paper, provenance=provenance, now=now)
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


def _write_provenance(
    connection: Connection,
    paper_pk: int,
    *,
    assignment: Assignment,
    paper: PaperFacts,
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
        "cache_read_tokens": provenance.cache_read_tokens,
        "cache_write_tokens": provenance.cache_write_tokens,
        "dropped": provenance.dropped,
        "outcome": provenance.outcome,
        "detail": provenance.detail,
        "written_at": now,
    }
    statement = insert_into(connection, Result).values(paper=paper_pk, pipeline=assignment.pipeline, **values)
    changed = {name: statement.excluded[name] for name in values}
    connection.execute(statement.on_conflict_do_update(index_elements=["paper", "pipeline"], set_=changed))
