"""What people write, in memory: the newest report counts, from whichever side it came."""

from __future__ import annotations

from typing import Any

import pytest

from paperjobs.kube.api import PAPERJOBS, PAPERQUEUES, Api, Resource
from paperjobs.kube.objects import Objects
from support.fake_kube import FakeKube


class Told:
    """Remembers what was told."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str, bool]] = []
        self.objects = Objects(self.changed)

    def changed(self, kind: Resource, body: dict[str, Any], came_or_went: bool) -> None:
        self.changes.append((kind.plural, body["metadata"]["name"], came_or_went))

    def names(self) -> set[str]:
        return set(self.objects.of(PAPERJOBS))


def body(name: str, version: int, uid: str = "1", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": uid, "resourceVersion": str(version), **metadata}, "spec": {}}


def test_coming_changing_and_going_are_told_apart() -> None:
    told = Told()
    told.objects.saw(PAPERJOBS, body("a", 9, managedFields=["much"]))
    told.objects.saw(PAPERJOBS, body("a", 10))
    told.objects.saw(PAPERJOBS, body("a", 11), True)
    assert told.changes == [("paperjobs", "a", True), ("paperjobs", "a", False), ("paperjobs", "a", True)]
    assert told.names() == set()


def test_an_older_report_is_passed_over_and_the_same_one_tells_nothing() -> None:
    told = Told()
    told.objects.saw(PAPERJOBS, body("a", 100))
    told.objects.saw(PAPERJOBS, body("a", 100))
    told.objects.saw(PAPERJOBS, body("a", 99), True)
    assert told.names() == {"a"}
    assert len(told.changes) == 1


def test_what_is_being_deleted_is_gone_for_us() -> None:
    told = Told()
    told.objects.saw(PAPERJOBS, body("a", 1))
    told.objects.saw(PAPERJOBS, body("a", 2, deletionTimestamp="now"))
    assert told.names() == set()
    told.objects.saw(PAPERJOBS, body("b", 3, deletionTimestamp="now"))
    assert told.names() == set()


def test_an_object_made_anew_under_its_old_name_has_come() -> None:
    told = Told()
    told.objects.saw(PAPERJOBS, body("a", 1, uid="1"))
    told.objects.saw(PAPERJOBS, body("a", 2, uid="2"))
    assert told.changes[-1] == ("paperjobs", "a", True)


@pytest.fixture
async def listed(kube: FakeKube, api: Api, monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()
    monkeypatch.setattr("paperjobs.kube.objects.KINDS", (PAPERJOBS, PAPERQUEUES))
    return told


async def test_a_listing_finds_what_came_and_what_went_unnoticed(kube: FakeKube, api: Api, listed: Told) -> None:
    folder = f"/{PAPERJOBS.group_version}/namespaces/test/{PAPERJOBS.plural}"
    await kube.put(f"{folder}/a", {"metadata": {"name": "a"}, "spec": {}})
    await kube.put(f"{folder}/b", {"metadata": {"name": "b"}, "spec": {}})
    await listed.objects.reload(api)
    assert listed.names() == {"a", "b"}
    await kube.remove(f"{folder}/a", silently=True)
    await listed.objects.reload(api)
    assert listed.names() == {"b"}
    assert listed.changes[-1] == ("paperjobs", "a", True)


async def test_what_kopf_reported_during_a_listing_is_not_lost_to_it(kube: FakeKube, api: Api, listed: Told) -> None:
    listed.objects.saw(PAPERJOBS, body("a", 1))
    pages = api.pages

    async def slow_pages(kind: Resource, selector: str = "") -> Any:
        async for page in pages(kind, selector):
            listed.objects.saw(PAPERJOBS, body("new", 5000))
            listed.objects.saw(PAPERJOBS, body("a", 5001))
            yield page

    api.pages = slow_pages  # type: ignore[method-assign, assignment]
    await listed.objects.reload(api)
    assert listed.names() == {"new", "a"}


async def test_what_is_deleted_while_a_listing_runs_is_not_put_back_by_its_page(
    kube: FakeKube, api: Api, listed: Told
) -> None:
    folder = f"/{PAPERJOBS.group_version}/namespaces/test/{PAPERJOBS.plural}"
    old = await kube.put(f"{folder}/a", {"metadata": {"name": "a", "uid": "1"}, "spec": {}})
    unknown = await kube.put(f"{folder}/b", {"metadata": {"name": "b", "uid": "2"}, "spec": {}})
    listed.objects.saw(PAPERJOBS, old)
    pages = api.pages

    async def slow_pages(kind: Resource, selector: str = "") -> Any:
        async for page in pages(kind, selector):
            if kind is PAPERJOBS:
                listed.objects.saw(PAPERJOBS, old, True)
                listed.objects.saw(PAPERJOBS, unknown, True)
            yield page

    api.pages = slow_pages  # type: ignore[method-assign, assignment]
    await listed.objects.reload(api)
    assert listed.names() == set()


def test_an_event_from_before_a_deletion_does_not_bring_the_object_back() -> None:
    told = Told()
    told.objects.saw(PAPERJOBS, body("a", 5))
    told.objects.saw(PAPERJOBS, body("a", 5), True)
    told.objects.saw(PAPERJOBS, body("a", 6))
    assert told.names() == set()
    told.objects.saw(PAPERJOBS, body("a", 7, uid="2"))
    assert told.names() == {"a"}


def test_that_there_was_none_of_a_name_says_nothing_of_one_made_later() -> None:
    told = Told()
    told.objects.saw(PAPERJOBS, body("a", 5))
    told.objects.saw(PAPERJOBS, body("b", 7))
    told.objects.saw_none(PAPERJOBS, "a", "6")
    told.objects.saw_none(PAPERJOBS, "b", "6")
    told.objects.saw_none(PAPERJOBS, "never", "6")
    assert told.names() == {"b"}
    assert told.changes[-1] == ("paperjobs", "a", True)
