"""The tables. On PostgreSQL they live in a schema of their own, beside the web app's; SQLite has no schemas.

papers 1──n authors n──m institutions
   1──n paper_institutions n──1 institutions
   1──n results (one per pipeline: which run wrote it, how)
runs: the latest run of each job; its `generation` fences off older ones
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import DateTime, ForeignKey, Identity, MetaData, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA: Final = "paperjobs"
"""PostgreSQL schema."""

_TIME: Final = DateTime(timezone=True)
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


class PaperInstitution(Base):
    """An institution as one paper names it."""

    __tablename__ = "paper_institutions"

    paper: Mapped[int] = mapped_column(ForeignKey(Paper.id, ondelete=_CASCADE), primary_key=True)
    institution: Mapped[int] = mapped_column(ForeignKey(Institution.id), primary_key=True, index=True)
    position: Mapped[int]
    department: Mapped[str | None]
    evidence: Mapped[str]


class AuthorInstitution(Base):
    """An author works at an institution."""

    __tablename__ = "author_institutions"

    author: Mapped[int] = mapped_column(ForeignKey(Author.id, ondelete=_CASCADE), primary_key=True)
    institution: Mapped[int] = mapped_column(ForeignKey(Institution.id), primary_key=True, index=True)
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
    dropped: Mapped[int]
    written_at: Mapped[datetime] = mapped_column(_TIME)


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
