"""One list+watch: the cache follows, survives what goes wrong, and says when it cannot be trusted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from paperjobs.kube.api import Api, Resource
from paperjobs.kube.watch import Watch
from support.fake_kube import FakeKube, Json

THINGS = Resource("apis/x/v1", "things")
PATH = "/apis/x/v1/namespaces/test/things"


def thing(name: str, n: int = 0) -> Json:
    return {"metadata": {"name": name, "managedFields": ["much"]}, "n": n}


async def eventually(check: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Watched(Watch):
    """A watch that remembers what it told."""

    def __init__(self, api: Api, resync_seconds: float) -> None:
        self.told: list[str] = []
        self.regained = 0
        super().__init__(
            api,
            THINGS,
            keep=lambda body: {"n": body["n"]},
            changed=self.told.append,
            regained=self._count,
            resync_seconds=resync_seconds,
        )

    def _count(self) -> None:
        self.regained += 1

    def has(self, **numbers: int) -> bool:
        return self.objects == {name: {"n": number} for name, number in numbers.items()}


@asynccontextmanager
async def watching(api: Api, resync_seconds: float = 300) -> AsyncIterator[Watched]:
    watch = Watched(api, resync_seconds)
    task = asyncio.create_task(watch.run())
    try:
        await eventually(lambda: watch.synced)
        yield watch
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_what_exists_is_listed_and_what_changes_follows(kube: FakeKube, api: Api) -> None:
    kube.page_size = 1
    await kube.put(f"{PATH}/a", thing("a"))
    await kube.put(f"{PATH}/b", thing("b"))
    async with watching(api) as watch:
        assert watch.has(a=0, b=0)
        await kube.put(f"{PATH}/a", thing("a", 1))
        await kube.put(f"{PATH}/c", thing("c"))
        await kube.remove(f"{PATH}/b")
        await eventually(lambda: watch.has(a=1, c=0))
        assert sorted(watch.told[:2]) == ["a", "b"]
        assert watch.told[2:] == ["a", "c", "b"]


async def test_nothing_is_trusted_before_the_first_listing(kube: FakeKube, api: Api) -> None:
    kube.answer = (503, {"message": "starting"})
    watch = Watched(api, 300)
    task = asyncio.create_task(watch.run())
    await asyncio.sleep(0.1)
    assert not watch.synced
    kube.answer = None
    await eventually(lambda: watch.synced)
    task.cancel()
    await asyncio.wait({task})


async def test_after_a_cut_connection_it_goes_on_where_it_was(kube: FakeKube, api: Api) -> None:
    async with watching(api) as watch:
        await eventually(lambda: kube.watching == 1)
        kube.answer = (503, {"message": "away"})
        await kube.cut()
        await eventually(lambda: not watch.synced)
        await kube.put(f"{PATH}/a", thing("a"))
        kube.answer = None
        await eventually(lambda: watch.has(a=0) and watch.synced)
        assert watch.regained == 2
    assert sum(path == PATH for method, path in kube.requests) >= 3


async def test_a_version_that_is_too_old_means_listing_again(kube: FakeKube, api: Api) -> None:
    await kube.put(f"{PATH}/a", thing("a"))
    await kube.put(f"{PATH}/b", thing("b"))
    async with watching(api) as watch:
        await eventually(lambda: kube.watching == 1)
        await kube.remove(f"{PATH}/a", silently=True)
        await kube.put("/elsewhere/x", thing("x"))
        kube.oldest = int(kube.objects["/elsewhere/x"]["metadata"]["resourceVersion"])
        await kube.cut()
        await eventually(lambda: watch.has(b=0))
        assert watch.told[-1] == "a"


async def test_a_slow_listing_repairs_what_the_watch_missed(kube: FakeKube, api: Api) -> None:
    await kube.put(f"{PATH}/a", thing("a"))
    async with watching(api, resync_seconds=1) as watch:
        await kube.remove(f"{PATH}/a", silently=True)
        await eventually(watch.has)
        assert watch.regained == 1, "a resync is no loss of sight"


async def test_a_fault_is_logged_once_not_on_every_try(
    kube: FakeKube, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with watching(api) as watch:
        await eventually(lambda: kube.watching == 1)
        kube.answer = (403, {"message": "forbidden"})
        await kube.cut()
        await eventually(lambda: len(kube.requests) > 4)
        assert not watch.synced
    assert len([record for record in caplog.records if record.name == "paperjobs.kube.watch"]) == 1
