"""The fake API server for the tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from paperjobs.kube.api import Api
from support.fake_kube import FakeKube, fake_kube


@pytest.fixture
async def kube() -> AsyncIterator[FakeKube]:
    """A small API server that can be told to misbehave."""
    async with fake_kube() as server:
        yield server


@pytest.fixture
async def api(kube: FakeKube) -> AsyncIterator[Api]:
    """A client of it."""
    async with Api(kube.login(), "test") as client:
        yield client
