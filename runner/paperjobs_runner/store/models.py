"""The tables. On PostgreSQL they live in a schema of their own, beside the web app's; SQLite has no schemas.

papers 1──n authors n──m institutions
   1──n paper_institutions n──1 institutions
   1──n results (one per pipeline: which run wrote it, how, with what outcome)
   1──1 abstracts
   1──n paper_tags n──1 tags (the vocabulary); 1──n paper_categories
runs: the latest run of each job; its `generation` fences off older ones
asana_tasks: one for each arXiv paper and project

Two pipelines find institutions. Each owns the rows that carry its name and replaces no others; the views put them
together, so that it does not matter which ran first. What the web app reads are the views (README), not the tables.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import JSON, DateTime, Double, ForeignKey, Identity, MetaData, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA: Final = "paperjobs"
"""PostgreSQL schema."""

_TIME: Final = DateTime(timezone=True)
_JSON: Final = JSON().with_variant(JSONB(), "postgresql")
_CASCADE: Final = "CASCADE"


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can speak of them on both databases."""

    metadata = MetaData(
        schema=SCHEMA,
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        },
    )


class Paper(Base):
    """A paper under the web app's id, in the newest version that was worked on."""

    __tablename__ = "papers"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    paper_id: Mapped[str] = mapped_column(unique=True)
    arxiv_id: Mapped[str] = mapped_column(index=True)
    version: Mapped[int]
    title: Mapped[str]
    abstract: Mapped[str]
    primary_category: Mapped[str | None]
    doi: Mapped[str | None]
    published_at: Mapped[datetime | None] = mapped_column(_TIME)
    updated_at: Mapped[datetime | None] = mapped_column(_TIME)


class Institution(Base):
    """An institution, shared by all papers."""

    __tablename__ = "institutions"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    """The normalised name."""
    name: Mapped[str]
    country: Mapped[str | None]
    ror_id: Mapped[str | None]
    """Identifier in the Research Organization Registry; filled by a later import."""


class Author(Base):
    """One author of one paper; the same person on two papers is two rows."""

    __tablename__ = "authors"
    __table_args__ = (UniqueConstraint("paper", "position"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    paper: Mapped[int] = mapped_column(ForeignKey(Paper.id, ondelete=_CASCADE))
    position: Mapped[int]
    name: Mapped[str]
    """As arXiv gives it. The other columns are author-extraction's."""
    given: Mapped[str | None]
    family: Mapped[str | None]
    suffix: Mapped[str | None]
    """Jr., III."""
    is_collaboration: Mapped[bool | None]
    """None: author-extraction has not looked yet."""
    orcid: Mapped[str | None]
    """Sixteen characters in four groups, checksum verified."""
    emails: Mapped[list[str] | None] = mapped_column(_JSON)
    is_corresponding: Mapped[bool | None]


class PaperInstitution(Base):
    """An institution as one paper names it, found by one pipeline."""

    __tablename__ = "paper_institutions"

    paper: Mapped[int] = mapped_column(ForeignKey(Paper.id, ondelete=_CASCADE), primary_key=True)
    institution: Mapped[int] = mapped_column(ForeignKey(Institution.id), primary_key=True, index=True)
    pipeline: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    department: Mapped[str | None]
    country: Mapped[str | None]
    """As this paper states it."""
    evidence: Mapped[str]
    """The affiliation as printed."""
    page: Mapped[int | None]
    """The page that holds the evidence, from 1."""
    span_start: Mapped[int | None]
    """Where it begins in that page's kept text, in characters."""
    span_end: Mapped[int | None]


class AuthorInstitution(Base):
    """An author works at an institution, as one pipeline found."""

    __tablename__ = "author_institutions"

    author: Mapped[int] = mapped_column(ForeignKey(Author.id, ondelete=_CASCADE), primary_key=True)
    institution: Mapped[int] = mapped_column(ForeignKey(Institution.id), primary_key=True, index=True)
    pipeline: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]


class Result(Base):
    """What a pipeline last wrote about a paper: when, by which run, with which means."""

    __tablename__ = "results"

    paper: Mapped[int] = mapped_column(ForeignKey(Paper.id, ondelete=_CASCADE), primary_key=True)
    pipeline: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    """Version of the paper that was read."""
    run: Mapped[str]
    extractor: Mapped[str]
    model: Mapped[str]
    prompt_version: Mapped[str]
    input_tokens: Mapped[int]
    output_tokens: Mapped[int]
    cache_read_tokens: Mapped[int]
    """Of the input: read from Claude's prompt cache, at a tenth of the price."""
    cache_write_tokens: Mapped[int]
    dropped: Mapped[int]
    """What Claude answered and the paper does not bear out."""
    outcome: Mapped[str]
    """done; refused (Claude declined to read this paper); truncated (its answer did not fit)."""
    detail: Mapped[str | None]
    """One sentence about an outcome other than done."""
    written_at: Mapped[datetime] = mapped_column(_TIME)


class Abstract(Base):
    """A structured abstract by Claude, of the paper in `version`."""

    __tablename__ = "abstracts"

    paper: Mapped[int] = mapped_column(ForeignKey(Paper.id, ondelete=_CASCADE), primary_key=True)
    version: Mapped[int]
    summary: Mapped[str]
    """In plain language."""
    key_points: Mapped[list[str]] = mapped_column(_JSON)
    methods: Mapped[str]
    results: Mapped[str]
    limitations: Mapped[str]
    sections_left_out: Mapped[list[str]] = mapped_column(_JSON)
    """Headings of the sections that did not fit into the token budget."""
    written_at: Mapped[datetime] = mapped_column(_TIME)


class Tag(Base):
    """One word of the controlled vocabulary. People edit it; what was assigned stays when it becomes inactive."""

    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    description: Mapped[str]
    active: Mapped[bool]


class PaperTag(Base):
    """A tag that a paper was given."""

    __tablename__ = "paper_tags"

    paper: Mapped[int] = mapped_column(ForeignKey(Paper.id, ondelete=_CASCADE), primary_key=True)
    tag: Mapped[int] = mapped_column(ForeignKey(Tag.id), primary_key=True, index=True)
    position: Mapped[int]
    confidence: Mapped[float] = mapped_column(Double)
    """From 0 to 1."""


class PaperCategory(Base):
    """An arXiv category of a paper."""

    __tablename__ = "paper_categories"

    paper: Mapped[int] = mapped_column(ForeignKey(Paper.id, ondelete=_CASCADE), primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    """Canonical, such as cs.LG."""
    position: Mapped[int]
    is_primary: Mapped[bool]


class AsanaTask(Base):
    """The task of an arXiv paper in an Asana project, or that it is still to be made."""

    __tablename__ = "asana_tasks"

    project: Mapped[str] = mapped_column(primary_key=True)
    arxiv_id: Mapped[str] = mapped_column(primary_key=True)
    """Base identifier: two posts of one paper share a task."""
    gid: Mapped[str | None]
    """Asana's number of the task, as soon as it is known."""
    content_hash: Mapped[str | None]
    """Of what the task was last told; the same content is not sent again."""
    state: Mapped[str]
    """synced, or pending."""
    error: Mapped[str | None]
    """Why it is pending, for people."""
    failures: Mapped[int]
    """In a row."""
    lease_by: Mapped[str | None]
    """A random word of the one that is at work on it: only with it the row may be settled."""
    lease_until: Mapped[datetime | None] = mapped_column(_TIME)
    """Then another one may take over."""
    next_try_at: Mapped[datetime | None] = mapped_column(_TIME)
    """While pending: not to be tried before, but by the run of its own paper."""
    updated_at: Mapped[datetime] = mapped_column(_TIME)


class AsanaProject(Base):
    """How far `asana_tasks` knows the tasks of an Asana project, whoever made them."""

    __tablename__ = "asana_projects"

    project: Mapped[str] = mapped_column(primary_key=True)
    known_until: Mapped[datetime] = mapped_column(_TIME)
    """What was changed in the project before is known."""
    read_whole_at: Mapped[datetime] = mapped_column(_TIME)
    """When all of its tasks were last looked through."""


class RunRecord(Base):
    """The latest run of a job. `generation` grows with every run that begins; only the newest may write."""

    __tablename__ = "runs"

    queue: Mapped[str] = mapped_column(primary_key=True)
    """Prefix and queue, such as `bull:institution-extraction`."""
    job_id: Mapped[str] = mapped_column(primary_key=True)
    pipeline: Mapped[str]
    run: Mapped[str]
    claim: Mapped[int]
    attempt: Mapped[int]
    generation: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(_TIME)
    finished_at: Mapped[datetime | None] = mapped_column(_TIME)
