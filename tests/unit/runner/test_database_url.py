"""DATABASE_URL in the forms that other tools write."""

import pytest

from paperjobs_runner.database_url import DatabaseUrlError, normalise_database_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p@h:5432/db", "postgresql+psycopg://u:p@h:5432/db"),  # Heroku
        ("postgresql+psycopg2://u:p%40@h/db", "postgresql+psycopg://u:p%40@h/db"),
        # Prisma's parameters are unknown to libpq
        ("postgresql://u:p@h/db?schema=public&connection_limit=5", "postgresql+psycopg://u:p@h/db"),
        ("postgresql://u:p@h/db?sslmode=verify-full&schema=x", "postgresql+psycopg://u:p@h/db?sslmode=verify-full"),
        ("postgresql:///db?host=/run/pg", "postgresql+psycopg:///db?host=%2Frun%2Fpg"),  # Unix socket
        ("sqlite:///data/papers.db", "sqlite:///data/papers.db"),
        ("sqlite:////srv/papers.db", "sqlite:////srv/papers.db"),
    ],
)
def test_a_url_is_brought_into_one_form(url: str, expected: str) -> None:
    assert normalise_database_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:top-secret@h/db",
        "postgres://u:top-secret@h",  # no database
        "postgres://u:top-secret@h:99999/db",
        "postgres://u:top-secret[@h/db",
        "sqlite://papers.db",
        "sqlite:///",
        "sqlite:///:memory:",  # every run is a process of its own
        "papers.db",
    ],
)
def test_a_url_that_cannot_work_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(DatabaseUrlError) as refusal:
        normalise_database_url(url)
    assert "top-secret" not in str(refusal.value)
