"""Authors in detail, structured abstracts, tags, Asana's tasks; who found an institution; the views of the web app."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

VIEWS = {
    "v_papers": """
        SELECT paper_id, arxiv_id, version, title, abstract, primary_category, doi, published_at, updated_at
        FROM {schema}papers""",
    "v_results": """
        SELECT p.paper_id, r.pipeline, r.version, r.outcome, r.detail, r.extractor, r.model, r.prompt_version,
            r.input_tokens, r.output_tokens, r.cache_read_tokens, r.cache_write_tokens, r.written_at
        FROM {schema}results r JOIN {schema}papers p ON p.id = r.paper""",
    # What institution-extraction says of an institution comes first, where both pipelines found it.
    "v_institutions": """
        SELECT p.paper_id, i.id AS institution_id, i.name, coalesce(m.country, i.country) AS country, i.ror_id,
            m.department, m.evidence, m.page, m.span_start, m.span_end,
            row_number() OVER (PARTITION BY m.paper ORDER BY m.pipeline DESC, m.position) - 1 AS position
        FROM (
            SELECT pi.*, row_number() OVER (PARTITION BY paper, institution ORDER BY pipeline DESC) AS choice
            FROM {schema}paper_institutions pi
        ) m
        JOIN {schema}papers p ON p.id = m.paper
        JOIN {schema}institutions i ON i.id = m.institution
        WHERE m.choice = 1""",
    "v_authors": """
        SELECT p.paper_id, a.position, a.name, a.given, a.family, a.suffix, a.is_collaboration, a.orcid, a.emails,
            a.is_corresponding
        FROM {schema}authors a JOIN {schema}papers p ON p.id = a.paper""",
    "v_author_institutions": """
        SELECT p.paper_id, a.position AS author_position, a.name AS author, i.id AS institution_id,
            i.name AS institution,
            row_number() OVER (PARTITION BY l.author ORDER BY l.pipeline DESC, l.position) - 1 AS position
        FROM (
            SELECT ai.*, row_number() OVER (PARTITION BY author, institution ORDER BY pipeline DESC) AS choice
            FROM {schema}author_institutions ai
        ) l
        JOIN {schema}authors a ON a.id = l.author
        JOIN {schema}papers p ON p.id = a.paper
        JOIN {schema}institutions i ON i.id = l.institution
        WHERE l.choice = 1""",
    "v_abstracts": """
        SELECT p.paper_id, b.version, b.summary, b.key_points, b.methods, b.results, b.limitations,
            b.sections_left_out, b.written_at
        FROM {schema}abstracts b JOIN {schema}papers p ON p.id = b.paper""",
    "v_tags": """
        SELECT p.paper_id, t.slug, t.name, pt.confidence, pt.position
        FROM {schema}paper_tags pt
        JOIN {schema}papers p ON p.id = pt.paper
        JOIN {schema}tags t ON t.id = pt.tag""",
    "v_categories": """
        SELECT p.paper_id, c.code, c.is_primary, c.position
        FROM {schema}paper_categories c JOIN {schema}papers p ON p.id = c.paper""",
}


def upgrade() -> None:
    """Change the tables of 0001, add the new ones and the views."""
    schema = _schema()
    _change_authors(schema)
    _change_results(schema)
    _name_the_pipeline(schema)
    _add_abstracts(schema)
    _add_tags(schema)
    _seed_vocabulary(schema)
    _add_asana_tasks(schema)
    prefix = f"{schema}." if schema else ""
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {prefix}{name} AS {query.format(schema=prefix)}")


def downgrade() -> None:
    """Only forward: what 0001 cannot hold would be lost."""
    raise NotImplementedError("restore the backup from before the upgrade instead")


def _schema() -> str | None:
    return "paperjobs" if op.get_bind().dialect.name == "postgresql" else None


def _json() -> sa.types.TypeEngine[Any]:
    return sa.JSON().with_variant(JSONB(), "postgresql")


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=nullable)


def _number(name: str, *, nullable: bool = False, default: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=nullable, server_default=default)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _refers(schema: str | None, column: str, *, cascade: bool = False) -> sa.ForeignKey:
    return sa.ForeignKey(f"{schema}.{column}" if schema else column, ondelete="CASCADE" if cascade else None)


def _change_authors(schema: str | None) -> None:
    for column in ("given", "family", "suffix", "orcid"):
        op.add_column("authors", _text(column, nullable=True), schema=schema)
    op.add_column("authors", sa.Column("emails", _json(), nullable=True), schema=schema)
    for column in ("is_collaboration", "is_corresponding"):
        op.add_column("authors", sa.Column(column, sa.Boolean(), nullable=True), schema=schema)


def _change_results(schema: str | None) -> None:
    for column in ("cache_read_tokens", "cache_write_tokens"):
        op.add_column("results", _number(column, default="0"), schema=schema)
    op.add_column("results", sa.Column("outcome", sa.String(), nullable=False, server_default="done"), schema=schema)
    op.add_column("results", _text("detail", nullable=True), schema=schema)


def _name_the_pipeline(schema: str | None) -> None:
    """Into the primary key; what is there was found by institution-extraction."""
    for table, owner in (("paper_institutions", "paper"), ("author_institutions", "author")):
        with op.batch_alter_table(table, schema=schema) as batch:
            batch.add_column(
                sa.Column("pipeline", sa.String(), nullable=False, server_default="institution-extraction")
            )
            batch.drop_constraint(op.f(f"pk_{table}"), type_="primary")
            batch.create_primary_key(op.f(f"pk_{table}"), [owner, "institution", "pipeline"])
    op.add_column("paper_institutions", _text("country", nullable=True), schema=schema)
    for column in ("page", "span_start", "span_end"):
        op.add_column("paper_institutions", _number(column, nullable=True), schema=schema)


def _add_abstracts(schema: str | None) -> None:
    op.create_table(
        "abstracts",
        sa.Column("paper", sa.Integer(), _refers(schema, "papers.id", cascade=True), nullable=False),
        _number("version"),
        _text("summary"),
        sa.Column("key_points", _json(), nullable=False),
        _text("methods"),
        _text("results"),
        _text("limitations"),
        sa.Column("sections_left_out", _json(), nullable=False),
        _time("written_at"),
        sa.PrimaryKeyConstraint("paper", name=op.f("pk_abstracts")),
        schema=schema,
    )


def _add_tags(schema: str | None) -> None:
    op.create_table(
        "tags",
        sa.Column("id", sa.Integer(), sa.Identity(), nullable=False),
        _text("slug"),
        _text("name"),
        _text("description"),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tags")),
        sa.UniqueConstraint("slug", name=op.f("uq_tags_slug")),
        schema=schema,
    )
    op.create_table(
        "paper_tags",
        sa.Column("paper", sa.Integer(), _refers(schema, "papers.id", cascade=True), nullable=False),
        sa.Column("tag", sa.Integer(), _refers(schema, "tags.id"), nullable=False),
        _number("position"),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("paper", "tag", name=op.f("pk_paper_tags")),
        schema=schema,
    )
    op.create_index(op.f("ix_paper_tags_tag"), "paper_tags", ["tag"], schema=schema)
    op.create_table(
        "paper_categories",
        sa.Column("paper", sa.Integer(), _refers(schema, "papers.id", cascade=True), nullable=False),
        _text("code"),
        _number("position"),
        sa.Column("is_primary", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("paper", "code", name=op.f("pk_paper_categories")),
        schema=schema,
    )


def _seed_vocabulary(schema: str | None) -> None:
    """Once: from then on the vocabulary is people's own."""
    tags = sa.table(
        "tags",
        *(sa.column(name, sa.String()) for name in ("slug", "name", "description")),
        sa.column("active", sa.Boolean()),
        schema=schema,
    )
    with (Path(__file__).parents[1] / "vocabulary.csv").open(encoding="utf-8", newline="") as file:
        op.bulk_insert(tags, [{**row, "active": True} for row in csv.DictReader(file)])


def _add_asana_tasks(schema: str | None) -> None:
    op.create_table(
        "asana_tasks",
        _text("project"),
        _text("arxiv_id"),
        _text("gid", nullable=True),
        _text("content_hash", nullable=True),
        _text("state"),
        _text("error", nullable=True),
        _number("failures"),
        _text("lease_by", nullable=True),
        _time("lease_until", nullable=True),
        _time("next_try_at", nullable=True),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("project", "arxiv_id", name=op.f("pk_asana_tasks")),
        schema=schema,
    )
    op.create_table(
        "asana_projects",
        _text("project"),
        _time("known_until"),
        _time("read_whole_at"),
        sa.PrimaryKeyConstraint("project", name=op.f("pk_asana_projects")),
        schema=schema,
    )
