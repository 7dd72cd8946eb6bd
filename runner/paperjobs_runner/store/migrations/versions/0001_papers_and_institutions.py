"""Papers, authors, institutions, and the runs that wrote them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    schema = "paperjobs" if op.get_bind().dialect.name == "postgresql" else None

    def refers(column: str, *, cascade: bool = False) -> sa.ForeignKey:
        target = f"{schema}.{column}" if schema else column
        return sa.ForeignKey(target, ondelete="CASCADE" if cascade else None)

    def time(name: str, *, nullable: bool = False) -> sa.Column[object]:
        return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)

    def text(name: str, *, nullable: bool = False) -> sa.Column[str]:
        return sa.Column(name, sa.String(), nullable=nullable)

    def number(name: str) -> sa.Column[int]:
        return sa.Column(name, sa.Integer(), nullable=False)

    def identity() -> sa.Column[int]:
        return sa.Column("id", sa.Integer(), sa.Identity(), nullable=False)

    op.create_table(
        "papers",
        identity(),
        text("paper_id"),
        text("arxiv_id"),
        number("version"),
        text("title"),
        text("abstract"),
        text("primary_category", nullable=True),
        text("doi", nullable=True),
        time("published_at", nullable=True),
        time("updated_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_papers")),
        sa.UniqueConstraint("paper_id", name=op.f("uq_papers_paper_id")),
        schema=schema,
    )
    op.create_index(op.f("ix_papers_arxiv_id"), "papers", ["arxiv_id"], schema=schema)
    op.create_table(
        "institutions",
        identity(),
        text("key"),
        text("name"),
        text("country", nullable=True),
        text("ror_id", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_institutions")),
        sa.UniqueConstraint("key", name=op.f("uq_institutions_key")),
        schema=schema,
    )
    op.create_table(
        "authors",
        identity(),
        sa.Column("paper", sa.Integer(), refers("papers.id", cascade=True), nullable=False),
        number("position"),
        text("name"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_authors")),
        sa.UniqueConstraint("paper", "position", name=op.f("uq_authors_paper_position")),
        schema=schema,
    )
    op.create_table(
        "paper_institutions",
        sa.Column("paper", sa.Integer(), refers("papers.id", cascade=True), nullable=False),
        sa.Column("institution", sa.Integer(), refers("institutions.id"), nullable=False),
        number("position"),
        text("department", nullable=True),
        text("evidence"),
        sa.PrimaryKeyConstraint("paper", "institution", name=op.f("pk_paper_institutions")),
        schema=schema,
    )
    op.create_index(op.f("ix_paper_institutions_institution"), "paper_institutions", ["institution"], schema=schema)
    op.create_table(
        "author_institutions",
        sa.Column("author", sa.Integer(), refers("authors.id", cascade=True), nullable=False),
        sa.Column("institution", sa.Integer(), refers("institutions.id"), nullable=False),
        number("position"),
        sa.PrimaryKeyConstraint("author", "institution", name=op.f("pk_author_institutions")),
        schema=schema,
    )
    op.create_index(op.f("ix_author_institutions_institution"), "author_institutions", ["institution"], schema=schema)
    op.create_table(
        "results",
        sa.Column("paper", sa.Integer(), refers("papers.id", cascade=True), nullable=False),
        text("pipeline"),
        number("version"),
        text("run"),
        text("extractor"),
        text("model"),
        text("prompt_version"),
        number("input_tokens"),
        number("output_tokens"),
        number("dropped"),
        time("written_at"),
        sa.PrimaryKeyConstraint("paper", "pipeline", name=op.f("pk_results")),
        schema=schema,
    )
    op.create_table(
        "runs",
        text("queue"),
        text("job_id"),
        text("pipeline"),
        text("run"),
        number("claim"),
        number("attempt"),
        number("generation"),
        time("started_at"),
        time("finished_at", nullable=True),
        sa.PrimaryKeyConstraint("queue", "job_id", name=op.f("pk_runs")),
        schema=schema,
    )


def downgrade() -> None:
    """Drop the tables."""
    schema = "paperjobs" if op.get_bind().dialect.name == "postgresql" else None
    tables = ("runs", "results", "author_institutions", "paper_institutions", "authors", "institutions", "papers")
    for table in tables:
        op.drop_table(table, schema=schema)
