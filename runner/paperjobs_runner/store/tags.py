"""Writes a paper's tags and categories. A tag that was taken out of the vocabulary meanwhile is left out."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from paperjobs_runner.store.findings import FoundTag
from paperjobs_runner.store.models import PaperCategory, PaperTag, Tag


def write_tags(connection: Connection, paper: int, categories: Sequence[str], tags: Sequence[FoundTag] | None) -> None:
    """Make these the paper's categories (the first is the primary one) and tags; None leaves the tags as they are."""
    rows = [
        {"paper": paper, "code": code, "position": position, "is_primary": position == 0}
        for position, code in enumerate(categories)
    ]
    connection.execute(delete(PaperCategory).where(PaperCategory.paper == paper))
    if rows:
        connection.execute(insert(PaperCategory), rows)
    if tags is None:
        return
    active = select(Tag.slug, Tag.id).where(Tag.active, Tag.slug.in_([tag.slug for tag in tags]))
    ids = {row.slug: row.id for row in connection.execute(active)}
    known = [tag for tag in tags if tag.slug in ids]
    connection.execute(delete(PaperTag).where(PaperTag.paper == paper))
    if known:
        connection.execute(
            insert(PaperTag),
            [
                {"paper": paper, "tag": ids[tag.slug], "position": position, "confidence": tag.confidence}
                for position, tag in enumerate(known)
            ],
        )
