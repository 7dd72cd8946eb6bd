"""What the promises' tests share: the web app whose jobs are at stake."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.webapp import WebApp, web_app


@pytest.fixture
async def app(node: Path, webapp_dir: Path, valkey_port: int) -> AsyncIterator[WebApp]:
    """The web app on npm `bullmq` 6."""
    async with web_app(node, webapp_dir, valkey_port) as running:
        yield running
