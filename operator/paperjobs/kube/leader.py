"""Everything a leading replica does, from the first listing to the last task: the composition of the real cluster.

```
kopf (settings) ─────▶ Objects ─▶ Desk ─▶ engine ─▶ KubernetesCluster ─▶ API server
watch (PaperJobs) ────▶   ▲                 ▲             │
                          └── our writes ───┼─────────────┘
                        RunCache (Jobs, Pods)
```
PaperJobs are watched by ourselves: they are as many as there are jobs, and kopf is slow with many objects.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import Callable, Collection
from typing import Final, Protocol

import kopf

from paperjobs.errors import ClusterUnavailable, LaunchRefused
from paperjobs.kube.answers import Json, NotFound
from paperjobs.kube.api import PAPERJOBS, Api
from paperjobs.kube.cluster import KubernetesCluster, is_shown
from paperjobs.kube.desk import Desk, EngineControl
from paperjobs.kube.handlers import tell_of_changes
from paperjobs.kube.login import kopf_connection, login
from paperjobs.kube.objects import SETTINGS, Objects, without_managed_fields
from paperjobs.kube.runcache import RunCache
from paperjobs.kube.statuswriter import Key, StatusWriter
from paperjobs.kube.watch import Watch
from paperjobs.model import QueueSettings
from paperjobs.ports import Cluster

RETRY_SECONDS: Final = 1.0
"""Between tries to list our objects."""

logger = logging.getLogger(__name__)


class Engine(EngineControl, Protocol):
    """The engine, as far as a leader drives it."""

    async def run(self) -> None:
        """Drive the queues until cancelled."""


class Leader:
    """The work of one term of leadership."""

    def __init__(
        self,
        *,
        api: Api,
        make_engine: Callable[[Cluster], Engine],
        serves: Callable[[Collection[QueueSettings]], None],
        default_image: str,
        resync_seconds: float,
    ) -> None:
        """`serves` gets the queues that are served, whenever they are others."""
        self._api = api
        self._resync_seconds = resync_seconds
        self._desk = Desk(default_image=default_image, serves=serves, now=unix_ms)
        self._objects = Objects(self._desk.changed)
        self._statuses = StatusWriter(self._write_status)
        self._runs = RunCache(api, changed=self._desk.wake, regained=self._regained, resync_seconds=resync_seconds)
        self._paperjobs_listed = asyncio.Event()
        self._paperjobs = Watch(
            api,
            PAPERJOBS,
            keep=without_managed_fields,
            changed=self._paperjob_changed,
            regained=self._paperjobs_listed.set,
            resync_seconds=resync_seconds,
        )
        cluster = KubernetesCluster(
            api=api, objects=self._objects, runs=self._runs, statuses=self._statuses, now=unix_ms
        )
        self._engine = make_engine(cluster)
        self._working = False
        self._list_now = asyncio.Event()

    @property
    def problem(self) -> str:
        """Why this leader cannot work right now; empty when it does."""
        if not self._working:
            return "PaperQueues, PaperJobs and ApiBudgets have not been listed yet"
        return "" if self._runs.synced else "Jobs and Pods cannot be watched right now"

    async def lead(self) -> None:
        """Serve the queues until cancelled; raises what cannot be repaired by trying again."""
        await self._list_until_done()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._runs.run(), name="runs")
            tasks.create_task(self._paperjobs.run(), name="PaperJobs")
            tasks.create_task(self._statuses.run(), name="statuses")
            tasks.create_task(tell_of_changes(self._api.namespace, self._connect, self._objects.saw), name="kopf")
            tasks.create_task(self._list_again(), name="resync")
            tasks.create_task(self._run_engine(), name="engine")

    async def _run_engine(self) -> None:
        await self._runs.wait_until_synced()
        await self._paperjobs_listed.wait()
        # What was listed stays, and holds no cycles: the collector need not walk through it for ever after.
        gc.freeze()
        self._desk.open(self._engine, self._objects, self._statuses)
        self._working = True
        await self._engine.run()

    def _regained(self) -> None:
        """Jobs and Pods can be seen again: while they could not, kopf may have missed a deletion."""
        self._desk.wake_all()
        if self._working:
            self._list_now.set()

    def _paperjob_changed(self, name: str) -> None:
        body = self._paperjobs.objects.get(name)
        if body is not None:
            self._objects.saw(PAPERJOBS, body)
        else:
            self._objects.saw_none(PAPERJOBS, name, self._paperjobs.version)

    async def _list_until_done(self) -> None:
        said = ""
        while problem := await self._list():
            if problem != said:  # once, not on every try
                logger.warning("Our objects cannot be listed, trying again: %s", problem)
            said = problem
            await asyncio.sleep(RETRY_SECONDS)

    async def _list_again(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._resync_seconds):
                    await self._list_now.wait()
            self._list_now.clear()
            await self._list_until_done()

    async def _list(self) -> str:
        """List everything; what went wrong, or nothing."""
        try:
            await self._objects.reload(self._api, SETTINGS)
        except NotFound:
            return "the cluster does not know them; install them with kubectl apply -f crds/"
        except (ClusterUnavailable, LaunchRefused) as error:
            return str(error)
        return ""

    async def _connect(self) -> kopf.ConnectionInfo:
        return await kopf_connection(await login())

    async def _write_status(self, key: Key, status: Json) -> bool:
        kind, name = key
        body = self._objects.of(kind).get(name)
        if body is None or is_shown(body, status):
            return False
        try:
            self._objects.saw(kind, await self._api.patch_status(kind, name, status))
        except NotFound:
            return False
        return True


def unix_ms() -> int:
    """Now, for what people are shown; no limit is counted by this clock."""
    return time.time_ns() // 1_000_000
