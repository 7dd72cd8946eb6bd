"""Our own kinds — PaperQueue, ApiBudget, PaperJob — in memory, fed from three sides.

kopf (PaperJobs: a watch of ours) reports changes as they happen, our own writes bring the answer of the API server, and
a listing now and then repairs what kopf never reports (objects deleted while the connection was down). Whichever is
newest by its resourceVersion counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from paperjobs.kube.answers import Json
from paperjobs.kube.api import APIBUDGETS, PAPERJOBS, PAPERQUEUES, Api, Resource
from paperjobs.kube.shelf import Shelf

SETTINGS: Final = (APIBUDGETS, PAPERQUEUES)
"""The kinds that people write and of which there are few. kopf takes 1.5 ms and 25 KB for each object that it sees."""

KINDS: Final = (*SETTINGS, PAPERJOBS)

GONE_KEPT: Final = 10_000
"""Deleted objects remembered by uid, the latest ones: far more than are deleted while one listing runs."""


class Objects:
    """Bodies by kind and name, without those that are being deleted; do not change what it holds."""

    def __init__(self, changed: Callable[[Resource, Json, bool], None]) -> None:
        """`changed` gets the kind, the body and whether the object came or went (else it was only changed), after
        the change is in here. It must not raise."""
        self.paperjobs = Shelf()
        self._bodies: dict[Resource, dict[str, Json]] = {kind: {} for kind in KINDS}
        self._changed = changed
        self._gone: dict[str, None] = {}

    def of(self, kind: Resource) -> dict[str, Json]:
        """The objects of one kind by name."""
        return self._bodies[kind]

    def saw(self, kind: Resource, body: Json, deleted: bool = False) -> None:
        """Take in an object as reported; one that is older than what is known is passed over, and so is one that was
        deleted: a page of a listing, or an event, may be older than the deletion."""
        if body["metadata"]["uid"] in self._gone:
            return
        name = body["metadata"]["name"]
        known = self._bodies[kind].get(name)
        if known is not None and _version(body) < _version(known):
            return
        if deleted or body["metadata"].get("deletionTimestamp"):
            self._remember_gone(body)
            if known is not None:
                self._forget(kind, known)
            return
        body = without_managed_fields(body)
        self._keep(kind, body, known)
        if known is None or _version(known) != _version(body):
            self._changed(kind, body, known is None or known["metadata"]["uid"] != body["metadata"]["uid"])

    def saw_none(self, kind: Resource, name: str, version: str) -> None:
        """Take in that there was no object of this name at that resourceVersion."""
        known = self._bodies[kind].get(name)
        if known is not None and _version(known) <= int(version):
            self._forget(kind, known)

    async def reload(self, api: Api, kinds: Sequence[Resource] = KINDS) -> None:
        """List everything of these kinds; raises ClusterUnavailable or Refused."""
        for kind in kinds:
            before = dict(self._bodies[kind])
            found: set[str] = set()
            async for page in api.pages(kind):
                for body in page["items"]:
                    found.add(body["metadata"]["name"])
                    self.saw(kind, body)
            self._drop(kind, (body for name, body in before.items() if name not in found))

    def _drop(self, kind: Resource, gone: Iterable[Json]) -> None:
        for body in gone:
            name = body["metadata"]["name"]
            if self._bodies[kind].get(name) is body:  # else it was made anew while the listing ran
                self._forget(kind, body)

    def _keep(self, kind: Resource, body: Json, known: Json | None) -> None:
        self._bodies[kind][body["metadata"]["name"]] = body
        if kind is PAPERJOBS:
            if known is not None:  # perhaps another object of the same name
                self.paperjobs.drop(known)
            self.paperjobs.put(body)

    def _remember_gone(self, body: Json) -> None:
        self._gone[body["metadata"]["uid"]] = None
        if len(self._gone) > GONE_KEPT:
            del self._gone[next(iter(self._gone))]

    def _forget(self, kind: Resource, known: Json) -> None:
        self._remember_gone(known)
        del self._bodies[kind][known["metadata"]["name"]]
        if kind is PAPERJOBS:
            self.paperjobs.drop(known)
        self._changed(kind, known, True)


def without_managed_fields(body: Json) -> Json:
    """An object without its largest part, which is nobody's business but the API server's."""
    if "managedFields" not in body["metadata"]:
        return body
    return {**body, "metadata": {key: value for key, value in body["metadata"].items() if key != "managedFields"}}


def _version(body: Json) -> int:
    """Resource versions of one kind may be compared as numbers (Kubernetes 1.35, KEP-5504; before that in practice)."""
    return int(body["metadata"]["resourceVersion"])
