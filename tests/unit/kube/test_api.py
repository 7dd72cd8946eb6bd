"""The client: what the server says becomes one of our errors, and nothing waits for ever."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from paperjobs.errors import ClusterUnavailable, LaunchRefused
from paperjobs.kube import api as api_module
from paperjobs.kube.answers import AlreadyExists, Conflict, Gone, NotFound, Refused
from paperjobs.kube.api import Api, Resource
from paperjobs.kube.login import Login
from support.fake_kube import FakeKube

THINGS = Resource("apis/x/v1", "things")
PATH = "/apis/x/v1/namespaces/test/things"


async def test_objects_are_created_read_changed_and_deleted(kube: FakeKube, api: Api) -> None:
    made = await api.create(THINGS, {"metadata": {"name": "a"}})
    await api.replace(THINGS, "a", {**made, "spec": {"n": 1}})
    await api.patch_status(THINGS, "a", {"phase": "Running", "reason": "x"})
    patched = await api.patch_status(THINGS, "a", {"reason": None})
    assert (patched["spec"], patched["status"]) == ({"n": 1}, {"phase": "Running"})
    await api.delete(THINGS, "a")
    assert await api.get(THINGS, "a") is None
    await api.delete(THINGS, "a")
    assert set(kube.tokens) == {"Bearer secret"}


async def test_a_replica_that_does_not_lead_any_more_reads_but_writes_nothing(kube: FakeKube, api: Api) -> None:
    leads = True
    async with Api(api.login, api.namespace, may_write=lambda: leads) as replica:
        await replica.create(THINGS, {"metadata": {"name": "a"}})
        leads = False
        for write in (
            replica.create(THINGS, {"metadata": {"name": "b"}}),
            replica.patch_status(THINGS, "a", {"phase": "Running"}),
            replica.replace(THINGS, "a", {"metadata": {"name": "a"}}),
            replica.delete(THINGS, "a"),
        ):
            with pytest.raises(ClusterUnavailable, match="does not lead"):
                await write
        assert await replica.get(THINGS, "a") is not None
    assert await api.get(THINGS, "b") is None


async def test_a_listing_is_read_page_by_page(kube: FakeKube, api: Api) -> None:
    for number in range(5):
        await kube.put(f"{PATH}/{number}", {"metadata": {"name": str(number)}})
    kube.page_size = 2
    pages = [page async for page in api.pages(THINGS)]
    assert [[item["metadata"]["name"] for item in page["items"]] for page in pages] == [["0", "1"], ["2", "3"], ["4"]]


async def test_what_exists_and_what_was_changed_meanwhile_are_told_apart(kube: FakeKube, api: Api) -> None:
    made = await api.create(THINGS, {"metadata": {"name": "a"}})
    with pytest.raises(AlreadyExists):
        await api.create(THINGS, {"metadata": {"name": "a"}})
    await kube.put(f"{PATH}/a", made)
    with pytest.raises(Conflict):
        await api.replace(THINGS, "a", made)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        # A person has to mend these.
        (400, Refused),
        (403, Refused),
        (404, NotFound),
        (422, Refused),
        # These may pass.
        (409, Conflict),
        (410, Gone),
        (429, ClusterUnavailable),
        (500, ClusterUnavailable),
        (503, ClusterUnavailable),
        (504, ClusterUnavailable),
    ],
)
async def test_every_status_is_either_a_refusal_or_worth_another_try(
    kube: FakeKube, api: Api, code: int, error: type[Exception]
) -> None:
    kube.answer = (code, {"message": "the server's own words", "reason": "Some"})
    with pytest.raises(error, match="the server's own words"):
        await api.create(THINGS, {"metadata": {"name": "a"}})
    assert issubclass(error, LaunchRefused if code in (400, 403, 404, 422) else ClusterUnavailable)


async def test_a_server_that_hangs_is_given_up_in_time(kube: FakeKube, api: Api) -> None:
    kube.hanging = True
    begun = time.monotonic()
    with pytest.raises(ClusterUnavailable):
        await api.get(THINGS, "a", seconds=0.2)
    assert time.monotonic() - begun < 1


async def test_waiting_for_a_turn_does_not_count_as_waiting_for_the_server(kube: FakeKube, api: Api) -> None:
    await kube.put(f"{PATH}/a", {"metadata": {"name": "a"}})
    kube.hanging = True
    before = [asyncio.create_task(api.get(THINGS, "a", seconds=0.5)) for _ in range(api_module.IN_FLIGHT)]
    await asyncio.sleep(0.1)
    kube.hanging = False
    assert await api.get(THINGS, "a", seconds=0.39) is not None, "its turn came after 0.4 s, and then it was answered"
    assert all(
        isinstance(answer, ClusterUnavailable) for answer in await asyncio.gather(*before, return_exceptions=True)
    )


async def test_a_server_that_is_not_there_is_unavailable(kube: FakeKube) -> None:
    known = kube.login()
    known.configuration.host = "http://127.0.0.1:1"
    async with Api(known, "test") as client:
        with pytest.raises(ClusterUnavailable, match="cannot be reached"):
            await client.get(THINGS, "a")


async def test_credentials_are_read_again_once_when_they_are_not_accepted(
    kube: FakeKube, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kube.put(f"{PATH}/a", {"metadata": {"name": "a"}})
    kube.answer = (401, {"message": "Unauthorized"})

    async def fresh() -> Login:
        kube.answer = None
        return kube.login()

    monkeypatch.setattr(api_module, "login", fresh)
    assert await api.get(THINGS, "a") is not None
    kube.answer = (401, {"message": "Unauthorized"})
    monkeypatch.setattr(api_module, "login", lambda: asyncio.sleep(0, kube.login()))
    with pytest.raises(ClusterUnavailable, match="Unauthorized"):
        await api.get(THINGS, "a")


async def test_one_event_may_be_larger_than_any_buffer(kube: FakeKube, api: Api) -> None:
    async with api.watch(THINGS, selector="", version="100", seconds=5) as events:
        await kube.put(f"{PATH}/a", {"metadata": {"name": "a"}, "data": "x" * 5_000_000})
        event = await anext(events)
    assert len(event["object"]["data"]) == 5_000_000


async def test_what_is_deleted_by_uid_is_left_alone_when_another_has_its_name(
    kube: FakeKube, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[object] = []
    call = api._call

    async def listen(*args: Any, **more: Any) -> Any:
        sent.append(more["body"])
        return await call(*args, **more)

    monkeypatch.setattr(api, "_call", listen)
    kube.answer = (409, {"message": "the UID in the precondition does not match", "reason": "Conflict"})
    await api.delete(THINGS, "a", uid="1")
    assert sent == [{"propagationPolicy": "Background", "preconditions": {"uid": "1"}}]
    with pytest.raises(Conflict):
        await api.delete(THINGS, "a")


async def test_an_error_whose_body_breaks_off_is_known_by_its_code(
    api: Api, kube: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_off(_: aiohttp.ClientResponse) -> bytes:
        raise aiohttp.ClientPayloadError

    monkeypatch.setattr(aiohttp.ClientResponse, "read", break_off)
    kube.answer = (503, {})
    with pytest.raises(ClusterUnavailable, match="answered 503"):
        async with api.watch(THINGS, selector="", version="100", seconds=5):
            raise AssertionError("it was not opened")
