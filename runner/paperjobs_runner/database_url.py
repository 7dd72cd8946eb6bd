"""Brings DATABASE_URL into SQLAlchemy's form, whichever tool it was written for. Pure; no driver is imported.

The web app's own URL works as it is: `postgres://` (Heroku), `?sslmode=` (libpq), and Prisma's parameters, among them
`?schema=`, which names the web app's tables; ours live in the schema `paperjobs` and need no such parameter.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_POSTGRES: Final = frozenset(
    {"postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2", "postgresql+asyncpg"}
)
_LIBPQ: Final = re.compile(
    "application_name|channel_binding|connect_timeout|fallback_application_name|gssencmode|host|hostaddr|keepalives|"
    "keepalives_count|keepalives_idle|keepalives_interval|krbsrvname|load_balance_hosts|options|passfile|port|"
    "require_auth|service|sslcert|sslcrl|sslcrldir|sslkey|sslmode|sslnegotiation|sslpassword|sslrootcert|"
    "target_session_attrs|tcp_user_timeout"
)
"""Parameters that PostgreSQL's client library knows; others (Prisma's, Drizzle's) would be an error to it."""


class DatabaseUrlError(ValueError):
    """The URL names no database we can use. The message never repeats the URL, which may hold a password."""


def normalise_database_url(url: str) -> str:
    """SQLAlchemy's form of `url`, for psycopg or SQLite; raises DatabaseUrlError."""
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        raise DatabaseUrlError("not a URL; a special character in the password must be percent-encoded") from None
    scheme = parts.scheme.lower()
    if scheme in ("sqlite", "sqlite+pysqlite"):
        if not url.strip().startswith(f"{parts.scheme}:///") or parts.path.strip("/") in ("", ":memory:"):
            raise DatabaseUrlError("expected sqlite:///folder/file.db (relative) or sqlite:////folder/file.db")
        return "sqlite:///" + url.strip().split(":///", 1)[1]
    if scheme not in _POSTGRES:
        raise DatabaseUrlError("expected postgresql://user:password@host:5432/name or sqlite:///file.db")
    if not parts.path.strip("/"):
        raise DatabaseUrlError("names no database; expected postgresql://user:password@host:5432/name")
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if _LIBPQ.fullmatch(name)]
    # urlunsplit would drop the empty host of a socket URL (postgresql:///name?host=/run/postgresql).
    rest = urlunsplit(("", parts.netloc, parts.path, urlencode(query), ""))
    return "postgresql+psycopg:" + (rest if parts.netloc else f"//{rest}")
