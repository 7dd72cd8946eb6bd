"""One operator process: an engine with its own ends of queue and cluster, which can be killed between any two steps."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from model.cluster_view import ClusterView
from model.queue_end import QueueEnd
from model.steppedloop import SteppedLoop
from paperjobs.engine.engine import Engine
from paperjobs.model import CancelRequest, Job, Outcome, QueueSettings, QueueStatus, Run


@dataclass
class Limits:
    """The settings that a tick of this process may be working under: those at its beginning and those since."""

    current: QueueSettings
    in_force: list[QueueSettings] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.in_force = [self.current]

    def edited(self, settings: QueueSettings) -> None:
        self.current = settings
        self.in_force.append(settings)

    def tick_ended(self) -> None:
        self.in_force = [self.current]

    @property
    def concurrency(self) -> int:
        return max(settings.concurrency for settings in self.in_force)


class Process:
    """Runs from its making until `kill`. Also the engine's observer."""

    def __init__(
        self, name: str, loop: SteppedLoop, settings: QueueSettings, queue: QueueEnd, view: ClusterView
    ) -> None:
        self.name = name
        self.queue = queue
        self.view = view
        self.limits = Limits(settings)
        self.ticks = 0
        self.failures: list[Exception] = []
        self._loop = loop
        self._engine = Engine(view, lambda _: queue, self)
        self._key = settings.key
        self._engine.configure([settings])
        view.changed = self.wake
        self._task: asyncio.Task[None] = loop.create_task(self._engine.run(), name=name)
        loop.run_ready()

    def wake(self) -> None:
        self._engine.wake(self._key)

    def configure(self, settings: QueueSettings) -> None:
        self.limits.edited(settings)
        self._engine.configure([settings])

    def kill(self) -> None:
        """Stop at once: what it has asked for may still happen, what it would have done next does not."""
        self._task.cancel()
        self._loop.run_ready()
        assert self._task.done(), "the engine does not stop"

    @property
    def crashed(self) -> BaseException | None:
        """What ended the engine, which nothing should."""
        return self._task.exception() if self._task.done() and not self._task.cancelled() else None

    # --- EngineObserver

    def ticked(self, queue: QueueSettings, status: QueueStatus, seconds: float) -> None:
        self.ticks += 1
        self.limits.tick_ended()

    def tick_failed(self, queue: QueueSettings, error: Exception) -> None:
        self.failures.append(error)
        self.limits.tick_ended()

    def launched(self, queue: QueueSettings, job: Job, run: str) -> None:
        pass

    def cancelled(self, queue: QueueSettings, request: CancelRequest, run: str | None) -> None:
        pass

    def settled(self, queue: QueueSettings, run: Run, outcome: Outcome) -> None:
        pass
