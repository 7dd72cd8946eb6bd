"""Opens the database, and translates its errors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from paperjobs_runner.errors import DatabaseUnavailable
from paperjobs_runner.store.models import SCHEMA

BUSY_S = 30.0
"""Seconds that SQLite waits for another writer."""
BUSY_LOOK_S = 1.0
"""Seconds of them at a time."""


def open_engine(url: str) -> Engine:
    """An engine for a URL in SQLAlchemy's form. Nothing is connected yet."""
    if url.startswith("sqlite"):
        return _sqlite(url)
    return create_engine(
        url,
        pool_size=1,
        max_overflow=1,
        pool_pre_ping=True,
        hide_parameters=True,
        # No prepared statements: they do not survive a connection pooler such as PgBouncer.
        connect_args={"connect_timeout": 10, "application_name": "paperjobs-runner", "prepare_threshold": None},
    )


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction; database errors surface as DatabaseUnavailable, without the statement or its values."""
    with translated(), engine.begin() as connection:
        yield connection


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """One transaction on a database that is used for nothing else; `url` in SQLAlchemy's form."""
    engine = open_engine(url)
    try:
        with transaction(engine) as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def translated() -> Iterator[None]:
    """Translate SQLAlchemy's errors."""
    try:
        yield
    except DBAPIError as error:
        kind = type(error.orig).__name__
        if kind == "UndefinedTable" or "no such table" in str(error.orig):
            raise DatabaseUnavailable("the database has no tables yet; run `paperjobs-runner db upgrade`") from None
        raise DatabaseUnavailable(f"the database cannot be used ({kind})") from error
    except SQLAlchemyError as error:
        raise DatabaseUnavailable(f"the database cannot be used ({type(error).__name__})") from error


def _sqlite(url: str) -> Engine:
    Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"timeout": BUSY_LOOK_S},
        execution_options={"schema_translate_map": {SCHEMA: None}},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        # The driver's own BEGIN comes too late to guard reads and DDL: we send it ourselves.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # IMMEDIATE: two transactions that read first and write later would otherwise deadlock.
        # SQLite waits in C, where no SIGTERM is seen: so it waits briefly, again and again.
        give_up_at = time.monotonic() + BUSY_S
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                return
            except OperationalError as error:
                if "locked" not in str(error.orig) or time.monotonic() >= give_up_at:
                    raise

    return engine
