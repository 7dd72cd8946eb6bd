"""The two JobQueues that must behave alike, each with what a producer, a foreign worker and time do to its queue."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final, Protocol

from bullmq import Queue
from bullmq.redis_connection import RedisConnection
from bullmq.scripts import Scripts
from redis.asyncio import Redis

from paperjobs.bullmq.jobqueue import BullmqJobQueue
from paperjobs.model import QueueSettings
from paperjobs.ports import JobQueue
from paperjobs.settings import RedisSettings
from support.fakeclock import FakeClock
from support.memory_queue import MemoryJobQueue, MemoryRedis

INSTALLATION: Final = "test"
SETTINGS: Final = QueueSettings(name="papers", queue="papers", pipeline="x", concurrency=9, attempts=2, disruptions=2)
FOREIGN_LOCK_MS: Final = 60_000


class Side(Protocol):
    """One of them."""

    def replica(self, term: int = 0, settings: QueueSettings = SETTINGS) -> JobQueue:
        """An operator's end of the queue."""

    async def add(self, **opts: Any) -> str:
        """A producer adds a job; its id."""

    async def remove(self, job_id: str) -> bool:
        """The app removes a job, unless it is locked."""

    async def pause(self) -> None: ...

    async def resume(self) -> None: ...

    async def lose_lock(self, job_id: str) -> None:
        """The lock of a job expires."""

    async def foreign_claim(self, token: str) -> str | None:
        """A stock worker, which has no name, claims a job; its id."""

    async def foreign_finish(self, job_id: str, token: str) -> None:
        """It completes that job."""

    async def set_global_concurrency(self, concurrency: int) -> None: ...

    async def rate_limit(self, ms: int) -> None:
        """The app's queue.rateLimit(ms)."""

    async def make_stalled_check_due(self) -> None: ...

    async def pass_time(self, ms: int) -> None: ...


class MemorySide:
    """In memory, on a fake clock."""

    def __init__(self) -> None:
        self._redis = MemoryRedis(FakeClock())
        self._bullmq = self._redis.bullmq

    def replica(self, term: int = 0, settings: QueueSettings = SETTINGS) -> JobQueue:
        return MemoryJobQueue(settings, self._redis, INSTALLATION, term)

    async def add(self, **opts: Any) -> str:
        return self._bullmq.add("paper", '{"paperId":"p1"}', opts)

    async def remove(self, job_id: str) -> bool:
        return self._bullmq.remove(job_id)

    async def pause(self) -> None:
        self._bullmq.pause()

    async def resume(self) -> None:
        self._bullmq.resume()

    async def lose_lock(self, job_id: str) -> None:
        self._bullmq.jobs[job_id].lock = ""

    async def foreign_claim(self, token: str) -> str | None:
        job = self._bullmq.move_to_active(token, FOREIGN_LOCK_MS, worker=None)
        return None if job is None else job.id

    async def foreign_finish(self, job_id: str, token: str) -> None:
        self._bullmq.finish(job_id, token, "completed", {"returnvalue": "null"})

    async def set_global_concurrency(self, concurrency: int) -> None:
        self._bullmq.meta["concurrency"] = concurrency

    async def rate_limit(self, ms: int) -> None:
        self._bullmq.rate_limit(ms)

    async def make_stalled_check_due(self) -> None:
        self._bullmq.stalled_check_until = 0

    async def pass_time(self, ms: int) -> None:
        self._redis.clock.advance(ms)


class ValkeySide:
    """On a real Valkey, through BullMQ's own package."""

    def __init__(self, redis: Redis, port: int) -> None:
        self._redis = redis
        self._port = port
        self._queue = Queue("papers", {"connection": redis})
        self._scripts = Scripts("bull", "papers", RedisConnection(redis))
        self._opened: list[BullmqJobQueue] = []

    def replica(self, term: int = 0, settings: QueueSettings = SETTINGS) -> JobQueue:
        opened = BullmqJobQueue(settings, RedisSettings(host="127.0.0.1", port=self._port), INSTALLATION, term)
        self._opened.append(opened)
        return opened

    async def close(self) -> None:
        for opened in self._opened:
            await opened.close()

    async def add(self, **opts: Any) -> str:
        return str((await self._queue.add("paper", {"paperId": "p1"}, opts)).id)

    async def remove(self, job_id: str) -> bool:
        return bool(await self._scripts.remove(job_id, False))

    async def pause(self) -> None:
        await self._queue.pause()

    async def resume(self) -> None:
        await self._queue.resume()

    async def lose_lock(self, job_id: str) -> None:
        await self._redis.delete(f"bull:papers:{job_id}:lock")

    async def foreign_claim(self, token: str) -> str | None:
        answer = await self._scripts.moveToActive(token, {"lockDuration": FOREIGN_LOCK_MS})
        return str(answer[1]) if answer and answer[0] else None

    async def foreign_finish(self, job_id: str, token: str) -> None:
        job = await self._queue.getJob(job_id)
        if job is not None:
            with contextlib.suppress(TypeError):  # BullMQ's refusals: its claim is over
                await job.moveToCompleted(None, token)

    async def set_global_concurrency(self, concurrency: int) -> None:
        await self._queue.setGlobalConcurrency(concurrency)

    async def rate_limit(self, ms: int) -> None:
        await self._redis.set("bull:papers:limiter", 2**53 - 1, px=ms)

    async def make_stalled_check_due(self) -> None:
        await self._redis.delete("bull:papers:stalled-check")

    async def pass_time(self, ms: int) -> None:
        await asyncio.sleep(ms / 1000)
