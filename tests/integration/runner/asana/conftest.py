"""Asana alone, as a stand-in: the other services are not needed here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from paperjobs_runner.settings_asana import AsanaSettings
from paperjobs_standins.server import Standins
from support.asana_tasks import asana_settings


@pytest.fixture(scope="module")
def running() -> Iterator[Standins]:
    with Standins(["asana"]) as standins:
        yield standins


@pytest.fixture
def standins(running: Standins) -> Standins:
    """Without faults, requests and tasks."""
    running.clear()
    running.asana.service.tasks.clear()
    return running


@pytest.fixture
def settings(standins: Standins) -> AsanaSettings:
    return asana_settings(standins)
