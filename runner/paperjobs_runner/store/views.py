"""The views that the web app reads (migration 0002), for our own reading of what was stored."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, MetaData, Table

from paperjobs_runner.store.models import SCHEMA, Abstract, Author, Base, Result

_METADATA: Final = MetaData(schema=SCHEMA)
"""Of their own: nothing may take them for tables to be made."""


def _view(name: str, *columns: str, like: type[Base] | None = None) -> Table:
    """A view of these columns; those of `like` have the types they have there (JSON and times need that)."""
    types = {one.name: one.type for one in like.__table__.c} if like is not None else {}
    return Table(name, _METADATA, Column("paper_id"), *(Column(one, types.get(one)) for one in columns))


PAPERS: Final = _view("v_papers", "arxiv_id", "version", "title", "abstract", "primary_category")
INSTITUTIONS: Final = _view("v_institutions", "position", "name", "country", "ror_id", "department", "evidence", "page")
AUTHORS: Final = _view(
    "v_authors",
    "position",
    "name",
    "given",
    "family",
    "suffix",
    "is_collaboration",
    "orcid",
    "emails",
    "is_corresponding",
    like=Author,
)
AUTHOR_INSTITUTIONS: Final = _view("v_author_institutions", "author_position", "institution", "position")
ABSTRACTS: Final = _view(
    "v_abstracts",
    "version",
    "summary",
    "key_points",
    "methods",
    "results",
    "limitations",
    "sections_left_out",
    like=Abstract,
)
TAGS: Final = _view("v_tags", "slug", "name", "confidence", "position")
CATEGORIES: Final = _view("v_categories", "code", "is_primary", "position")
RESULTS: Final = _view("v_results", "pipeline", "version", "outcome", "written_at", like=Result)
