"""Alembic's entry point: uses the connection, transaction and lock that `migrate.py` opened."""

from __future__ import annotations

from alembic import context

from paperjobs_runner.store.migrate import version_schema
from paperjobs_runner.store.models import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    version_table_schema=version_schema(connection),
    include_schemas=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
context.run_migrations()
