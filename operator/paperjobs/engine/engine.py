"""All queues of one installation: a loop for each, which do not wait for each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from paperjobs.engine.loop import QueueLoop
from paperjobs.engine.observer import EngineObserver
from paperjobs.model import QueueSettings
from paperjobs.ports import Cluster, JobQueue


class Engine:
    """Runs the loops of the queues it is configured with. Call everything but `run` from the same event loop."""

    def __init__(
        self, cluster: Cluster, open_queue: Callable[[QueueSettings], JobQueue], observer: EngineObserver
    ) -> None:
        self._cluster = cluster
        self._open_queue = open_queue
        self._observer = observer
        self._settings: dict[str, QueueSettings] = {}
        self._loops: dict[str, tuple[QueueLoop, asyncio.Task[None]]] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._running = False
        self._draining = False

    async def run(self) -> None:
        """Drive the configured queues until cancelled."""
        self._running = True
        try:
            self.configure(list(self._settings.values()))
            await asyncio.Event().wait()
        finally:
            self._running = False
            for name in list(self._loops):
                self._stop(name)
            if self._stopping:
                await asyncio.wait(self._stopping)

    def configure(self, queues: Sequence[QueueSettings]) -> None:
        """Take the whole set of queues: new ones start, edited ones go on under their new limits, others stop.

        The runs of a queue that stops go on; they are settled when the queue is configured again.
        """
        wanted = {queue.name: queue for queue in queues}
        if self._running:
            for name, settings in self._settings.items():
                if name in self._loops and not _same_queue(settings, wanted.get(name)):
                    self._stop(name)
            for name, settings in wanted.items():
                if name not in self._loops:
                    self._start(settings)
                elif settings != self._settings[name]:
                    self._loops[name][0].update(settings)
        self._settings = wanted

    def wake(self, queue_name: str) -> None:
        """A run or object of this queue (`QueueSettings.name`) changed."""
        if queue_name in self._loops:
            self._loops[queue_name][0].wake()

    def drain(self) -> None:
        """Start nothing any more, in any queue; runs that end are still settled."""
        self._draining = True
        for loop, _ in self._loops.values():
            loop.drain()

    def _start(self, settings: QueueSettings) -> None:
        loop = QueueLoop(settings, self._open_queue(settings), self._cluster, self._observer)
        if self._draining:
            loop.drain()
        self._loops[settings.name] = (loop, asyncio.create_task(loop.run(), name=f"queue {settings.name}"))

    def _stop(self, name: str) -> None:
        _, task = self._loops.pop(name)
        task.cancel()
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)


def _same_queue(old: QueueSettings, new: QueueSettings | None) -> bool:
    return new is not None and (old.prefix, old.queue) == (new.prefix, new.queue)
