"""Runs by queue, put together from two watches that know nothing of each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from paperjobs.errors import ClusterUnavailable
from paperjobs.kube import runcache
from paperjobs.kube.api import Api
from paperjobs.kube.runcache import RunCache
from paperjobs.model import Run, RunPhase
from support.fake_kube import FakeKube

JOB = "/apis/batch/v1/namespaces/test/jobs/q-1"
POD = "/api/v1/namespaces/test/pods/q-1-x"
LABELS = {"paperjobs.dev/queue": "older", "paperjobs.dev/queue-key": "q", "batch.kubernetes.io/job-name": "q-1"}


def job() -> dict[str, Any]:
    return {"metadata": {"name": "q-1", "labels": LABELS}, "spec": {"template": "much"}, "status": {}}


def pod(phase: str) -> dict[str, Any]:
    return {"metadata": {"name": "q-1-x", "labels": LABELS}, "spec": {"much": 1}, "status": {"phase": phase}}


def launched(name: str = "q-1") -> Run:
    return Run(name=name, job_id="1", claim=1, attempt=1, phase=RunPhase.PENDING)


async def until(check: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@asynccontextmanager
async def caching(api: Api) -> AsyncIterator[tuple[RunCache, list[str]]]:
    told: list[str] = []
    cache = RunCache(api, changed=told.append, regained=lambda: None, resync_seconds=300)
    task = asyncio.create_task(cache.run())
    try:
        await cache.wait_until_synced()
        yield cache, told
    finally:
        task.cancel()
        await asyncio.wait({task})


def phases(cache: RunCache, queue: str = "q") -> list[str]:
    return [run.phase.value for run in cache.runs(queue)]


async def test_a_run_follows_its_job_and_its_pod(kube: FakeKube, api: Api) -> None:
    async with caching(api) as (cache, told):
        assert cache.runs("q") == []
        await kube.put(JOB, job())
        await until(lambda: phases(cache) == ["Pending"])
        await kube.put(POD, pod("Running"))
        await until(lambda: phases(cache) == ["Running"])
        assert cache.runs("other") == []
        assert set(told) == {"q"}


async def test_a_change_that_changes_no_run_wakes_nobody(kube: FakeKube, api: Api) -> None:
    await kube.put(JOB, job())
    async with caching(api) as (cache, told):
        before = len(told)
        await kube.put(JOB, {**job(), "spec": {"template": "more"}})
        await kube.put(POD, pod("Running"))
        await until(lambda: phases(cache) == ["Running"])
        assert len(told) == before + 1


async def test_a_job_that_is_gone_holds_its_slot_until_its_pod_is(kube: FakeKube, api: Api) -> None:
    await kube.put(JOB, job())
    await kube.put(POD, pod("Running"))
    async with caching(api) as (cache, _):
        await until(lambda: phases(cache) == ["Running"])
        await kube.remove(JOB)
        await until(lambda: phases(cache) == ["Terminating"])
        await kube.remove(POD)
        await until(lambda: phases(cache) == [])


async def test_a_launched_run_counts_before_it_is_seen_and_once_when_it_is(kube: FakeKube, api: Api) -> None:
    async with caching(api) as (cache, _):
        cache.launched("q", launched())
        assert phases(cache) == ["Pending"]
        await kube.put(POD, pod("Running"))
        await asyncio.sleep(0.1)
        assert phases(cache) == ["Pending"], "its pod came first; it is not an orphan"
        await kube.put(JOB, job())
        await until(lambda: phases(cache) == ["Running"])
        cache.launched("q", launched())
        assert phases(cache) == ["Running"]


async def test_a_launched_run_that_is_never_seen_is_forgotten(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runcache, "UNSEEN_SECONDS", 0.1)
    async with caching(api) as (cache, _):
        cache.launched("q", launched())
        await until(lambda: phases(cache) == [])


async def test_nothing_is_known_while_one_of_the_watches_is_blind(kube: FakeKube, api: Api) -> None:
    async with caching(api) as (cache, _):
        await until(lambda: kube.watching == 3)
        kube.answer = (503, {"message": "away"})
        await kube.cut()
        await until(lambda: not cache.synced)
        with pytest.raises(ClusterUnavailable):
            cache.runs("q")
        kube.answer = None
        await until(lambda: cache.synced)
        assert cache.runs("q") == []


def waiting(reason: str) -> dict[str, Any]:
    body = pod("Pending")
    body["status"]["containerStatuses"] = [{"name": "runner", "state": {"waiting": {"reason": reason}}}]
    return body


async def test_a_fault_is_as_old_as_when_it_was_first_seen_whatever_it_is_called_meanwhile(
    kube: FakeKube, api: Api
) -> None:
    async with caching(api) as (cache, _):
        await kube.put(JOB, job())
        await kube.put(POD, waiting("ContainerCreating"))
        await until(lambda: phases(cache) == ["Pending"])
        assert cache.runs("q")[0].faulty_since is None
        await kube.put(POD, waiting("ErrImagePull"))
        await until(lambda: cache.runs("q")[0].faulty_since is not None)
        first_seen = cache.runs("q")[0].faulty_since
        await asyncio.sleep(0.05)
        await kube.put(POD, waiting("ImagePullBackOff"))
        await until(lambda: cache.runs("q")[0].waiting_for == "ImagePullBackOff")
        assert cache.runs("q")[0].faulty_since == first_seen
        await kube.put(POD, waiting("ContainerCreating"))
        await until(lambda: cache.runs("q")[0].faulty_since is None)


EVENT = "/api/v1/namespaces/test/events/q-1.17c"


async def test_a_run_without_a_pod_says_why_the_job_controller_may_not_create_one(kube: FakeKube, api: Api) -> None:
    async with caching(api) as (cache, told):
        await kube.put(JOB, job())
        await until(lambda: phases(cache) == ["Pending"])
        event = {"metadata": {"name": "q-1.17c"}, "involvedObject": {"name": "q-1"}, "message": "exceeded quota"}
        await kube.put(EVENT, event)
        await until(lambda: cache.runs("q")[0].waiting_for == "FailedCreate")
        assert cache.runs("q")[0].waiting_message == "exceeded quota"
        assert told[-1] == "q"
        await kube.put(POD, pod("Pending"))
        await until(lambda: cache.runs("q")[0].waiting_for == "")


async def test_runs_can_be_acted_on_while_events_cannot_be_seen(kube: FakeKube, api: Api) -> None:
    kube.forbidden = "/events"
    async with caching(api) as (cache, _):
        await kube.put(JOB, job())
        await until(lambda: phases(cache) == ["Pending"])
