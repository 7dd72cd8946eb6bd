"""Brings the database's tables to the form this version needs. Safe when several processes do it at once.

One transaction does it all, under an advisory lock on PostgreSQL and SQLite's write lock: the second process waits and
finds nothing to do; a failure leaves the database as it was.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from paperjobs_runner.store.models import SCHEMA
from paperjobs_runner.store.revision import require_revision
from paperjobs_runner.store.session import connected

_LOCK: Final = 0x70617065726A6F62
"""PostgreSQL advisory lock: "paperjob" in ASCII."""


def upgrade(url: str) -> str:
    """Apply every missing migration; returns the revision the database now has."""
    with connected(url) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return require_revision(connection)


def version_schema(connection: Connection) -> str | None:
    """Where alembic's own table lives."""
    return SCHEMA if connection.dialect.name == "postgresql" else None


def configuration() -> Config:
    """Alembic's configuration, made here: there is no alembic.ini."""
    config = Config()
    # Percent signs are interpolation marks in alembic's configuration.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
