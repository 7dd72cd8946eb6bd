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
        self._failed: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Drive the configured queues until cancelled; raises what ended a loop, which nothing should."""
        self._running = True
        self._failed = asyncio.get_running_loop().create_future()
        try:
            self.configure(list(self._settings.values()))
            await self._failed
        finally:
            self._running = False
            for key in list(self._loops):
                self._stop(key)
            if self._stopping:
                await asyncio.wait(self._stopping)

    def configure(self, queues: Sequence[QueueSettings]) -> None:
        """Take the whole set of queues: new ones start, edited ones go on under their new limits, others stop.

        The runs of a queue that stops go on; they are settled when the queue is configured again.
        """
        wanted = {queue.key: queue for queue in queues}
        if self._running:
            for key in self._loops.keys() - wanted.keys():
                self._stop(key)
            for key, settings in wanted.items():
                if key not in self._loops:
                    self._start(settings)
                elif settings != self._settings[key]:
                    self._loops[key][0].update(settings)
        self._settings = wanted

    def wake(self, key: str) -> None:
        """A run or object of the queue with this `QueueSettings.key` changed."""
        if key in self._loops:
            self._loops[key][0].wake()

    def cancel(self, key: str, job_id: str) -> None:
        """The PaperJob of a job that has not ended was deleted from the queue with this `QueueSettings.key`."""
        if key in self._loops:
            self._loops[key][0].cancel(job_id)

    def drain(self) -> None:
        """Start nothing any more, in any queue; runs that end are still settled."""
        self._draining = True
        for loop, _ in self._loops.values():
            loop.drain()

    def _start(self, settings: QueueSettings) -> None:
        loop = QueueLoop(settings, self._open_queue(settings), self._cluster, self._observer)
        if self._draining:
            loop.drain()
        task = asyncio.create_task(loop.run(), name=f"queue {settings.queue}")
        task.add_done_callback(self._ended)
        self._loops[settings.key] = (loop, task)

    def _stop(self, key: str) -> None:
        _, task = self._loops.pop(key)
        task.cancel()
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)
