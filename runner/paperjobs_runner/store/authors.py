"""The rows of a paper's authors, which two pipelines share.

Both know the authors in arXiv's order, so a row is known by its position. Whichever pipeline comes first makes the
rows; the other finds them. An author whose name changed (a newer version of the paper) is another one: the row is made
anew, and what was known of the earlier one goes.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select, update

from paperjobs_runner.store.findings import FoundPerson
from paperjobs_runner.store.models import Author


def write_author_rows(connection: Connection, paper: int, names: Sequence[str]) -> list[int]:
    """Make the paper's authors exactly these; returns the primary key of each."""
    stored = {
        row.position: row
        for row in connection.execute(select(Author.position, Author.id, Author.name).where(Author.paper == paper))
    }
    wanted = dict(enumerate(names))
    gone = [row.id for position, row in stored.items() if wanted.get(position) != row.name]
    if gone:
        connection.execute(delete(Author).where(Author.id.in_(gone)))
    ids: list[int] = []
    for position, name in wanted.items():
        row = stored.get(position)
        if row is not None and row.name == name:
            ids.append(row.id)
            continue
        statement = insert(Author).values(paper=paper, position=position, name=name).returning(Author.id)
        ids.append(connection.execute(statement).scalar_one())
    return ids


def write_people(
    connection: Connection, paper: int, names: Sequence[str], people: Sequence[FoundPerson], *, details: bool
) -> None:
    """Write what is known of each author. Without `details` only the parts of the names: the rest was not asked for."""
    for author, person in zip(write_author_rows(connection, paper, names), people, strict=True):
        values: dict[str, object] = {
            "given": person.given,
            "family": person.family,
            "suffix": person.suffix,
            "is_collaboration": person.is_collaboration,
        }
        if details:
            values |= {
                "orcid": person.orcid,
                "emails": list(person.emails),
                "is_corresponding": person.is_corresponding,
            }
        connection.execute(update(Author).where(Author.id == author).values(**values))
