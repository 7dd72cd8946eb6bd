"""One plain list+watch: a kind's objects in memory, kept current, with a call for every change.

```
list (pages) ─▶ watch from its version ─▶ events … server ends it ─▶ watch again ─┐
     ▲                                                                            │
     └── version too old (410), or the resync is due ◀────────────────────────────┘
```
`synced` is True while the cache can be trusted: listed once, and the watch is open or was ended in good order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from paperjobs.errors import ClusterUnavailable
from paperjobs.kube.answers import Gone, Json, Refused
from paperjobs.kube.api import Api, Resource

WATCH_SECONDS: Final = 60
"""How long one watch lasts: also bounds how long a connection that died without a word goes unnoticed."""

BACKOFF_SECONDS: Final = (0.2, 0.5, 1.0, 2.0)
"""From one try to the next after consecutive failures; the last one repeats. Short: an engine without sight starts
nothing. The first also keeps a server that ends every watch at once from being asked without a pause."""

TOLD_AT_ONCE: Final = 200
"""Changes that a listing has brought and that are told before anybody else gets a turn."""

logger = logging.getLogger(__name__)


class Watch:
    """The objects of one kind that match a selector. `objects` is by name; do not change what it holds."""

    def __init__(
        self,
        api: Api,
        resource: Resource,
        *,
        selector: str = "",
        fields: str = "",
        keep: Callable[[Json], Json],
        changed: Callable[[str], None],
        regained: Callable[[], None],
        resync_seconds: float,
    ) -> None:
        """`keep` reduces an object to what is needed (memory); `changed` gets the name of whatever came, changed or
        went, after `objects` was brought up to date; `regained` is called when `synced` becomes True. None may raise.
        """
        self.objects: dict[str, Json] = {}
        self.synced = False
        self._api = api
        self._resource = resource
        self._selector = selector
        self._fields = fields
        self._keep = keep
        self._changed = changed
        self._regained = regained
        self._resync_seconds = resync_seconds
        self._version = ""
        self._resync_at = 0.0

    @property
    def version(self) -> str:
        """The resourceVersion at which `objects` was the whole truth; empty before the first listing."""
        return self._version

    async def run(self) -> None:
        """List and watch until cancelled; failures are logged once each time they begin, and tried again."""
        failures = 0
        while True:
            begun = _now()
            try:
                if not self._version or begun >= self._resync_at:
                    await self._list()
                await self._follow()
                failures = 0
            except Gone:
                logger.info("The watch of %s is too far behind; listing again", self._resource.plural)
                self._version = ""
            except (ClusterUnavailable, Refused) as error:
                failures += 1
                self._lost_sight(error, first=failures == 1)
            pause = BACKOFF_SECONDS[min(max(failures, 1), len(BACKOFF_SECONDS)) - 1]
            await asyncio.sleep(max(0.0, begun + pause - _now()))

    def _lost_sight(self, error: Exception, *, first: bool) -> None:
        # From here on, what the cache says may be old: nothing may be decided on it.
        self.synced = False
        if isinstance(error, Refused):
            self._version = ""
        if first:
            logger.warning("Cannot watch %s: %s", self._resource.plural, error)

    async def _list(self) -> None:
        found: dict[str, Json] = {}
        version = ""
        async for page in self._api.pages(self._resource, self._selector, self._fields):
            found.update((item["metadata"]["name"], self._keep(item)) for item in page["items"])
            version = page["metadata"]["resourceVersion"]
        previous, self.objects = self.objects, found
        self._version = version
        self._resync_at = _now() + self._resync_seconds
        await self._tell_of_many([name for name in previous.keys() | found if previous.get(name) != found.get(name)])
        self._in_sync()

    async def _follow(self) -> None:
        seconds = max(1, min(WATCH_SECONDS, int(self._resync_at - _now())))
        async with self._api.watch(
            self._resource, selector=self._selector, fields=self._fields, version=self._version, seconds=seconds
        ) as events:
            self._in_sync()
            async for event in events:
                self._apply(event["type"], event["object"])

    def _apply(self, kind: str, item: Json) -> None:
        self._version = item["metadata"]["resourceVersion"]
        if kind == "BOOKMARK":
            return
        name = item["metadata"]["name"]
        if kind == "DELETED":
            self.objects.pop(name, None)
        else:
            self.objects[name] = self._keep(item)
        self._tell([name])

    def _in_sync(self) -> None:
        if not self.synced:
            self.synced = True
            self._regained()

    async def _tell_of_many(self, names: Sequence[str]) -> None:
        for start in range(0, len(names), TOLD_AT_ONCE):
            self._tell(names[start : start + TOLD_AT_ONCE])
            await asyncio.sleep(0)

    def _tell(self, names: Iterable[str]) -> None:
        for name in names:
            self._changed(name)


def _now() -> float:
    return asyncio.get_running_loop().time()
