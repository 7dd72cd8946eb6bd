"""What whole runs need: every external service as a stand-in, and a database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from paperjobs_runner.services.patience import with_patience
from paperjobs_runner.store.migrate import upgrade
from paperjobs_standins.server import Standins
from support.runner_process import environment


@pytest.fixture(scope="module")
def all_standins() -> Iterator[Standins]:
    with Standins(["arxiv", "adobe", "anthropic", "s3"]) as standins:
        yield standins


@pytest.fixture
def standins(all_standins: Standins) -> Standins:
    """Every external service, without faults and with no request recorded."""
    all_standins.clear()
    return all_standins


@pytest.fixture(scope="module")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables, to be copied."""
    file = tmp_path_factory.mktemp("database") / "papers.db"
    upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture
def env(standins: Standins, new_database: Path, tmp_path: Path) -> dict[str, str]:
    """A run's environment: nothing of ours, the stand-ins, SQLite with its tables, and an assignment."""
    return environment(standins, new_database, tmp_path)


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses have the lengths that tests expect; what chance adds to them is tested in unit/runner/test_patience.py."""
    defaults = {**(with_patience.__kwdefaults__ or {}), "chance": lambda: 0.0}
    monkeypatch.setattr(with_patience, "__kwdefaults__", defaults)
