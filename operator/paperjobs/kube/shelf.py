"""PaperJobs in order: found by their queue or their uid without a search, and read once for each of their versions.

Those that the operator made belong to a queue by its key, so they stay with it when another PaperQueue takes over;
those made by hand name their PaperQueue. One that names a job and is not the operator's belongs to nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from paperjobs.kube.names import HAND_MADE_PREFIX
from paperjobs.kube.paperjob import Json, is_of, made_by_hand, paperjob_view, queue_key
from paperjobs.model import PaperJobView, QueueSettings

Place = tuple[str, str]
"""How a PaperJob is filed, and under what."""

_KEY: Final = "key"
_PAPERQUEUE: Final = "paperqueue"
_NOWHERE: Final = ("nowhere", "")


class Shelf:
    """Every PaperJob in memory; kept by `Objects`."""

    def __init__(self) -> None:
        self._filed: dict[Place, dict[str, Json]] = defaultdict(dict)
        self._views: dict[str, PaperJobView] = {}
        self._by_uid: dict[str, Json] = {}

    def put(self, body: Json) -> None:
        """File an object that came or changed; its queue cannot change (crds/paperjob.yaml)."""
        name = body["metadata"]["name"]
        self._filed[_place(body)][name] = body
        self._by_uid[body["metadata"]["uid"]] = body
        self._views.pop(name, None)

    def drop(self, body: Json) -> None:
        """Take out an object as it was put in."""
        place, name = _place(body), body["metadata"]["name"]
        self._filed[place].pop(name, None)
        if not self._filed[place]:
            del self._filed[place]
        self._by_uid.pop(body["metadata"]["uid"], None)
        self._views.pop(name, None)

    def views(self, queue: QueueSettings) -> list[PaperJobView]:
        """Every PaperJob of a queue."""
        shown = (body for body in self._at(_KEY, queue.key) if is_of(body, queue))
        return [self._view(body) for body in (*shown, *self._at(_PAPERQUEUE, queue.name))]

    def by_hand(self, job_id: str) -> Json | None:
        """The PaperJob made by hand whose job has this id."""
        body = self._by_uid.get(job_id.removeprefix(HAND_MADE_PREFIX))
        return body if body is not None and made_by_hand(body) else None

    def _at(self, kind: str, word: str) -> Iterable[Json]:
        return self._filed.get((kind, word), {}).values()

    def _view(self, body: Json) -> PaperJobView:
        name = body["metadata"]["name"]
        if name not in self._views:
            self._views[name] = paperjob_view(body)
        return self._views[name]


def _place(body: Json) -> Place:
    if made_by_hand(body):
        return _PAPERQUEUE, body["spec"].get("queue", "")
    key = queue_key(body)
    return (_KEY, key) if key else _NOWHERE
