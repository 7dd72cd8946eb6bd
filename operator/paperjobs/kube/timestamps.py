"""Instants between Unix milliseconds, as the engine counts, and RFC 3339 text, as the API server writes."""

from __future__ import annotations

from datetime import UTC, datetime


def to_text(milliseconds: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    instant = datetime.fromtimestamp(milliseconds // 1000, tz=UTC)
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def from_text(text: object) -> int | None:
    """Unix milliseconds; None for what is missing or not an instant."""
    if not isinstance(text, str):
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1000)


def time_of_day(milliseconds: int) -> str:
    """For a printer column: 18:05:12Z."""
    return f"{datetime.fromtimestamp(milliseconds // 1000, tz=UTC):%H:%M:%S}Z"
