"""A queue of its own for one test: the npm client at one end, the engine with scripted runs at the other."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from paperjobs.model import QueueSettings
from paperjobs.settings import RedisSettings
from support.engine_bench import EngineBench
from support.scripted import Step, script
from support.scripted_cluster import ScriptedCluster
from support.webapp import WebApp

Ends = dict[str, str]
"""How each job ended, by id: completed or failed."""


@dataclass(kw_only=True)
class ServedQueue:
    """What a test says to the queue and sees of it; the engine runs once `serve` was called."""

    name: str
    web: WebApp
    cluster: ScriptedCluster
    bench: EngineBench

    def serve(self, *more: QueueSettings, **limits: Any) -> None:
        """Start the engine, with concurrency 1 unless told otherwise, beside other queues of the test."""
        own = QueueSettings(name="papers", queue=self.name, pipeline="x", **{"concurrency": 1, **limits})
        self.bench.start(own, *more)

    async def add(self, *steps: Step, **opts: Any) -> str:
        """A job whose runs do these steps; the options are BullMQ's."""
        return await self.web.add(self.name, script(*steps), **opts)

    async def ask(self, command: str, **args: Any) -> Any:
        """A command of the npm client about this queue."""
        return await self.web.ask(command, queue=self.name, **args)

    async def inspect(self, job_id: str) -> dict[str, Any]:
        """What the npm client says of a job that exists."""
        found = await self.web.inspect(self.name, job_id)
        assert found is not None, f"job {job_id} is gone"
        return found

    @property
    def launched(self) -> list[str]:
        """Ids of the jobs that were launched, in order, again for each run."""
        return [job.id for _, job in self.cluster.launched]

    async def until_launched(self, count: int, seconds: float = 10) -> None:
        await self.bench.until(lambda: len(self.launched) >= count, f"{count} runs are launched", seconds)

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while not await condition():
            assert time.monotonic() < deadline, f"{what}: not within {seconds} s; {await self.ask('counts')}"
            await asyncio.sleep(0.02)

    async def idle(self, seconds: float = 15) -> Ends:
        """Wait until nothing waits or runs; how each job ended, as the events tell it. A job ends once."""

        async def quiet() -> bool:
            counts = await self.ask("counts")
            return not any(counts[s] for s in ("waiting", "active", "delayed", "prioritized", "waiting-children"))

        await self.until(quiet, "the queue is idle", seconds)
        return await self.ends()

    async def ends(self) -> Ends:
        """How each job ended so far. Fails when one ended twice; jobs that were retried by hand are not for this."""
        ended = [e for e in await self.web.events(self.name) if e["event"] in ("completed", "failed")]
        twice = [job_id for job_id, times in Counter(e["jobId"] for e in ended).items() if times > 1]
        assert not twice, f"ended more than once: {twice}"
        return {e["jobId"]: e["event"] for e in ended}


@asynccontextmanager
async def served_queue(name: str, web: WebApp, redis: RedisSettings) -> AsyncIterator[ServedQueue]:
    """The queue `name`, not served yet; the engine stops with the test. Every claim had one run."""
    cluster = ScriptedCluster()
    bench = EngineBench(redis=redis, cluster=cluster)
    served = ServedQueue(name=name, web=web, cluster=cluster, bench=bench)
    try:
        yield served
    finally:
        await bench.kill()
        await cluster.close()
    assert bench.log.failures == []
    runs = [name for name, _ in cluster.launched]
    assert len(runs) == len(set(runs))
