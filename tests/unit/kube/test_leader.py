"""One term of leadership: what was missed is listed again, and a dead engine ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from paperjobs.commands import operate
from paperjobs.kube import leader as leader_module
from paperjobs.kube.api import Api
from paperjobs.kube.leader import Leader
from paperjobs.model import QueueSettings
from paperjobs.settings import OperatorSettings, RedisSettings
from support.fake_kube import FakeKube

PAPERQUEUE = "/apis/paperjobs.dev/v1alpha1/namespaces/test/paperqueues/a"
PAPERJOB = "/apis/paperjobs.dev/v1alpha1/namespaces/test/paperjobs/a"
WATCHES = 4
"""Of the leader itself: Jobs, Pods, their Events, PaperJobs. kopf's are not among them."""


class Engine:
    """Runs until it is told to die."""

    def __init__(self) -> None:
        self.queues: list[str] = []
        self.woken: list[str] = []
        self.cancelled: list[str] = []
        self.death = asyncio.Event()

    async def run(self) -> None:
        await self.death.wait()
        raise ValueError("a loop died")

    def configure(self, queues: Sequence[QueueSettings]) -> None:
        self.queues = [queue.name for queue in queues]

    def wake(self, key: str) -> None:
        self.woken.append(key)

    def cancel(self, key: str, job_id: str) -> None:
        self.cancelled.append(job_id)


@pytest.fixture
async def engine() -> Engine:
    return Engine()


@pytest.fixture
async def leading(api: Api, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.Task[None]]:
    async def silent_kopf(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(leader_module, "tell_of_changes", silent_kopf)
    leader = Leader(
        api=api, make_engine=lambda _: engine, serves=lambda _: None, default_image="i", resync_seconds=3600
    )
    task = asyncio.create_task(leader.lead())
    yield task
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
        await task


async def until(check: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_paperqueue_deleted_while_nobody_could_see_is_missed_when_sight_returns(
    kube: FakeKube, engine: Engine, leading: asyncio.Task[None]
) -> None:
    await kube.put(PAPERQUEUE, {"metadata": {"name": "a"}, "spec": {"queue": "q", "pipeline": "p"}})
    await until(lambda: engine.queues == ["a"])
    await until(lambda: kube.watching == WATCHES)
    kube.answer = (503, {"message": "away"})
    await kube.cut()
    await until(lambda: kube.watching == 0)
    await kube.remove(PAPERQUEUE, silently=True)
    await asyncio.sleep(0.1)
    kube.answer = None
    await until(lambda: engine.queues == [])
    assert engine.woken


async def test_paperjobs_wake_their_queue_when_they_come_and_when_they_go(
    kube: FakeKube, engine: Engine, leading: asyncio.Task[None]
) -> None:
    await kube.put(PAPERQUEUE, {"metadata": {"name": "a"}, "spec": {"queue": "q", "pipeline": "p", "concurrency": 1}})
    await until(lambda: engine.queues == ["a"])
    await until(lambda: kube.watching == WATCHES)

    engine.woken.clear()
    await kube.put(PAPERJOB, {"metadata": {"name": "a"}, "spec": {"queue": "a"}})
    await until(lambda: bool(engine.woken))

    engine.woken.clear()
    await kube.remove(PAPERJOB)
    await until(lambda: bool(engine.woken))
    assert len(engine.cancelled) == 1, "its job has not ended"


async def test_a_dead_engine_ends_the_term(engine: Engine, leading: asyncio.Task[None]) -> None:
    engine.death.set()
    with pytest.raises(ExceptionGroup) as ended:
        await leading
    assert ended.group_contains(ValueError, match="a loop died")


async def test_an_operator_that_cannot_go_on_says_so_and_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def die(_: operate.Operator) -> None:
        raise ExceptionGroup("unhandled errors in a TaskGroup", [ValueError("a loop died")])

    monkeypatch.setattr(operate.Operator, "serve", die)
    with caplog.at_level(logging.ERROR):
        assert await operate.run_operator(OperatorSettings(redis=RedisSettings(host="localhost"))) == 1
    [line] = caplog.records
    assert (line.getMessage(), getattr(line, "action", "")) == ("The operator cannot go on", "died")
    assert "a loop died" in caplog.text
