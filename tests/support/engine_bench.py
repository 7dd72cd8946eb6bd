"""An engine on a real Redis and a cluster in memory, which tests start, kill and start again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import pytest

from paperjobs.bullmq.jobqueue import BullmqJobQueue
from paperjobs.engine.engine import Engine
from paperjobs.model import CancelRequest, Job, Outcome, QueueSettings, QueueStatus, Run
from paperjobs.settings import RedisSettings
from support.memory_cluster import MemoryCluster

SETTINGS: Final = QueueSettings(name="papers", queue="papers", pipeline="institution-extraction", concurrency=2)


@dataclass
class Log:
    """An EngineObserver that remembers."""

    failures: list[Exception] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    cancelled_jobs: list[str] = field(default_factory=list)
    statuses: list[QueueStatus] = field(default_factory=list)

    def ticked(self, queue: QueueSettings, status: QueueStatus, seconds: float) -> None:
        self.statuses.append(status)

    def tick_failed(self, queue: QueueSettings, error: Exception) -> None:
        self.failures.append(error)

    def launched(self, queue: QueueSettings, job: Job, run: str) -> None:
        pass

    def settled(self, queue: QueueSettings, run: Run, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def cancelled(self, queue: QueueSettings, request: CancelRequest, run: str | None) -> None:
        self.cancelled_jobs.append(request.job_id)


@dataclass
class EngineBench:
    """An engine that can be started, killed and started again."""

    redis: RedisSettings
    installation: str = "test"
    cluster: MemoryCluster = field(default_factory=MemoryCluster)
    log: Log = field(default_factory=Log)
    engine: Engine | None = None
    task: asyncio.Task[None] | None = None

    def start(self, *queues: QueueSettings) -> Engine:
        """Run an engine of these queues, `papers` when none is named."""
        engine = Engine(self.cluster, self.open_queue, self.log)
        engine.configure(queues or [SETTINGS])
        self.cluster.on_change = engine.wake
        self.engine, self.task = engine, asyncio.create_task(engine.run())
        return engine

    def open_queue(self, settings: QueueSettings = SETTINGS) -> BullmqJobQueue:
        """The queue as the engine itself opens it."""
        return BullmqJobQueue(settings, self.redis, self.installation)

    async def kill(self) -> None:
        """Stop the engine as a lost lease does; nothing happens when it does not run."""
        if self.task is not None:
            self.task.cancel()
            _, hanging = await asyncio.wait([self.task], timeout=10)
            assert not hanging, "the engine does not stop"
            self.task = None

    async def until(self, condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
        """Wait until something is true; `what` says what, for the failure."""
        for _ in range(int(seconds * 100)):
            if condition():
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"{what}: not within {seconds} s; tick errors: {self.log.failures[-5:]}")
