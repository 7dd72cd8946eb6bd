"""PaperJobs in order: found by their queue or their uid without a search, and read once for each of their versions.

Those that the operator made belong to a queue by its key, so they stay with it when another PaperQueue takes over;
those made by hand name their PaperQueue, until their job is known to be in a queue: from then on they stay with that.
One that names a job and is not the operator's belongs to nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from paperjobs.kube.names import HAND_MADE, HAND_MADE_PREFIX
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
        self._proven: dict[str, bool] = {}
        """Whether the name proves what the label says, for those filed under a queue's key."""
        self._by_uid: dict[str, Json] = {}
        self._followed: dict[str, str] = {}
        """Key of the queue by the uid of one made by hand whose job is in it. Kept when the PaperJob goes: its queue
        has to be told. People make few, and a term of leadership ends."""

    def put(self, body: Json) -> None:
        """File an object that came or changed; its queue cannot change (crds/paperjob.yaml)."""
        name = body["metadata"]["name"]
        self._filed[_place(body)][name] = body
        self._by_uid[body["metadata"]["uid"]] = body
        self._forget_read(name)

    def drop(self, body: Json) -> None:
        """Take out an object as it was put in."""
        place, name = _place(body), body["metadata"]["name"]
        self._filed[place].pop(name, None)
        if not self._filed[place]:
            del self._filed[place]
        self._by_uid.pop(body["metadata"]["uid"], None)
        self._forget_read(name)

    def views(self, queue: QueueSettings) -> list[PaperJobView]:
        """Every PaperJob of a queue."""
        shown = (body for body in self._at(_KEY, queue.key) if self._is_of(body, queue))
        for body in self._at(_PAPERQUEUE, queue.name):
            if (body.get("status") or {}).get("jobId"):
                self._followed.setdefault(body["metadata"]["uid"], queue.key)
        named = (body for body in self._at(_PAPERQUEUE, queue.name) if self.key_of(body) in ("", queue.key))
        followed = (
            self._by_uid[uid]
            for uid, key in self._followed.items()
            if key == queue.key and uid in self._by_uid and self._by_uid[uid]["spec"].get("queue") != queue.name
        )
        return [self._view(body) for body in (*shown, *named, *followed)]

    def follow(self, job_id: str, key: str) -> None:
        """A run of the queue with that key works on the job; if a person made its PaperJob, it belongs there."""
        body = self.by_hand(job_id) if HAND_MADE.fullmatch(job_id) else None
        if body is not None:
            self._followed[body["metadata"]["uid"]] = key

    def key_of(self, body: Json) -> str:
        """Key of the queue that has the job of a PaperJob made by hand; empty when it is not known to be in one."""
        return self._followed.get(body["metadata"]["uid"], "")

    def by_hand(self, job_id: str) -> Json | None:
        """The PaperJob made by hand whose job has this id."""
        body = self._by_uid.get(job_id.removeprefix(HAND_MADE_PREFIX))
        return body if body is not None and made_by_hand(body) else None

    def _at(self, kind: str, word: str) -> Iterable[Json]:
        return self._filed.get((kind, word), {}).values()

    def _forget_read(self, name: str) -> None:
        self._views.pop(name, None)
        self._proven.pop(name, None)

    def _is_of(self, body: Json, queue: QueueSettings) -> bool:
        name = body["metadata"]["name"]
        if name not in self._proven:
            self._proven[name] = is_of(body, queue)
        return self._proven[name]

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
