"""Writes a paper's structured abstract; one row for each paper."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection

from paperjobs_runner.store.findings import FoundAbstract
from paperjobs_runner.store.models import Abstract
from paperjobs_runner.store.upsert import insert_into


def write_abstract(connection: Connection, paper: int, version: int, abstract: FoundAbstract | None) -> None:
    """Replace the abstract by this one, of that version of the paper; None leaves what is there."""
    if abstract is None:
        return
    values = {
        "version": version,
        "summary": abstract.summary,
        "key_points": list(abstract.key_points),
        "methods": abstract.methods,
        "results": abstract.results,
        "limitations": abstract.limitations,
        "sections_left_out": list(abstract.sections_left_out),
        "written_at": datetime.now(UTC),
    }
    statement = insert_into(connection, Abstract).values(paper=paper, **values)
    changed = {name: statement.excluded[name] for name in values}
    connection.execute(statement.on_conflict_do_update(index_elements=["paper"], set_=changed))
