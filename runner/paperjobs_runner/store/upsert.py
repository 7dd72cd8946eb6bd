"""INSERT … ON CONFLICT, which PostgreSQL and SQLite both have, in each dialect's own construct."""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import Insert

from paperjobs_runner.store.models import Base


def insert_into(connection: Connection, table: type[Base]) -> Insert:
    """An insert that knows `on_conflict_do_update` and `on_conflict_do_nothing`.

    Typed as PostgreSQL's: SQLite's construct has the same methods, but no common base.
    """
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)  # type: ignore[return-value]
    return postgresql.insert(table)
