"""All stand-ins, running once for these tests, and an environment that leads the SDKs to them and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from paperjobs_standins.server import Standins


@pytest.fixture(scope="session")
def running() -> Iterator[Standins]:
    with Standins() as standins:
        yield standins


@pytest.fixture
def standins(running: Standins, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standins]:
    for name in [one for one in os.environ if one.startswith(("ANTHROPIC_", "AWS_")) or one.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in running.env().items():
        monkeypatch.setenv(name, value)
    running.clear()
    yield running
    running.clear()
