"""Whether the database has the tables this version needs; asked by every run, so alembic (0.2 s) is not imported."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from paperjobs_runner.errors import DatabaseUnavailable
from paperjobs_runner.store.models import SCHEMA
from paperjobs_runner.store.session import connected, translated

REVISION: Final = "0002"
"""The newest migration of this version; migrations are numbered."""


def check(url: str) -> str:
    """The database's revision; raises DatabaseUnavailable with the remedy when it is older than this version needs."""
    with connected(url) as connection:
        return require_revision(connection)


def require_revision(connection: Connection) -> str:
    """As `check`, in an open transaction. A newer database is accepted: migrations only add until a release is over."""
    revision = _revision(connection)
    if revision is None or revision < REVISION:
        found = f"has revision {revision}" if revision else "has no tables yet"
        raise DatabaseUnavailable(f"the database {found}, {REVISION} is needed; run `paperjobs-runner db upgrade`")
    return revision


def _revision(connection: Connection) -> str | None:
    table = f"{SCHEMA}.alembic_version" if connection.dialect.name == "postgresql" else "alembic_version"
    with translated():
        try:
            value = connection.execute(text(f"SELECT version_num FROM {table}")).scalar()  # noqa: S608
        except DBAPIError as error:
            if type(error.orig).__name__ == "UndefinedTable" or "no such table" in str(error.orig):
                return None
            raise
    return str(value) if value is not None else None
