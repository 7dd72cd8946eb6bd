"""Statuses are written seldom, and the last one always."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from paperjobs.errors import ClusterUnavailable, LaunchRefused
from paperjobs.kube.api import Resource
from paperjobs.kube.statuswriter import Key, StatusWriter

THINGS = Resource("apis/x/v1", "things")
INTERVAL = 0.2


class Written:
    """Remembers writes and when they were made; may refuse some."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, Any]] = []
        self.times: list[float] = []
        self.failures = 0

    async def __call__(self, key: Key, status: dict[str, Any]) -> bool:
        name = key[1]
        if self.failures:
            self.failures -= 1
            raise ClusterUnavailable
        if self.writes and self.writes[-1] == (name, status["n"]):
            return False
        self.writes.append((name, status["n"]))
        self.times.append(asyncio.get_running_loop().time())
        return True


@asynccontextmanager
async def writing(written: Written) -> AsyncIterator[StatusWriter]:
    writer = StatusWriter(written, INTERVAL)
    task = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_the_first_status_is_written_at_once() -> None:
    written = Written()
    async with writing(written) as writer:
        writer.show(THINGS, "q", {"n": 1})
        await asyncio.sleep(0.05)
        assert written.writes == [("q", 1)]


async def test_of_many_statuses_few_are_written_and_the_last_one_is() -> None:
    written = Written()
    async with writing(written) as writer:
        for number in range(50):
            writer.show(THINGS, "q", {"n": number})
            await asyncio.sleep(0.01)
        await asyncio.sleep(2 * INTERVAL)
    assert written.writes[-1] == ("q", 49)
    assert len(written.writes) <= 5
    gaps = [later - earlier for earlier, later in zip(written.times, written.times[1:], strict=False)]
    assert min(gaps) >= INTERVAL * 0.95


async def test_objects_do_not_wait_for_each_other() -> None:
    written = Written()
    async with writing(written) as writer:
        writer.show(THINGS, "q", {"n": 1})
        writer.show(THINGS, "r", {"n": 1})
        await asyncio.sleep(0.05)
        assert sorted(written.writes) == [("q", 1), ("r", 1)]


async def test_a_write_that_failed_is_tried_again_unless_a_newer_one_takes_its_place() -> None:
    written = Written()
    written.failures = 2
    async with writing(written) as writer:
        writer.show(THINGS, "q", {"n": 1})
        await asyncio.sleep(0.05)
        writer.show(THINGS, "q", {"n": 2})
        await asyncio.sleep(3 * INTERVAL)
    assert written.writes == [("q", 2)]


async def test_nothing_is_written_of_an_object_that_is_gone() -> None:
    written = Written()
    async with writing(written) as writer:
        writer.show(THINGS, "q", {"n": 1})
        await asyncio.sleep(0.05)
        writer.show(THINGS, "q", {"n": 2})
        writer.forget(THINGS, "q")
        await asyncio.sleep(2 * INTERVAL)
    assert written.writes == [("q", 1)]


async def test_a_status_that_the_server_refuses_is_not_tried_again_until_it_is_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tried: list[int] = []

    async def refuse(_: Key, status: dict[str, Any]) -> bool:
        tried.append(status["n"])
        raise LaunchRefused("too long")

    writer = StatusWriter(refuse, 0.01)
    task = asyncio.create_task(writer.run())
    for number in (1, 1, 2):
        writer.show(THINGS, "q", {"n": number})
        await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait({task})
    assert tried == [1, 2]
    assert [record.getMessage() for record in caplog.records] == ["The status of q is refused and not shown: too long"]
