"""Adds jobs as the web app's own `JobQueueService` does: for the command line, and for the demo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from bullmq import Queue
from redis.asyncio import Redis

from paperjobs.bullmq.connection import ask, open_client
from paperjobs.bullmq.scripts import QueueScripts
from paperjobs.model import JobState
from paperjobs.settings import RedisSettings

ATTEMPTS: Final = 3
BACKOFF_MS: Final = 5_000
KEEP_COMPLETED: Final = {"age": 24 * 3600, "count": 1_000}
KEEP_FAILED: Final = {"age": 7 * 24 * 3600}
"""The options that the web app sets (tests/webapp/src/job-queue-service.ts, JOB_OPTIONS); ages in seconds."""


@dataclass(frozen=True, kw_only=True)
class PaperTask:
    """The payload of every job."""

    paper_id: str
    arxiv_url: str


class Producer:
    """Adds jobs to one queue, as an async context manager. Raises RedisUnavailable when Redis cannot be asked."""

    def __init__(self, queue: str, redis: RedisSettings, *, prefix: str = "bull") -> None:
        self._name = queue
        self._client: Redis = open_client(redis)
        self._queue = Queue(queue, {"connection": self._client, "prefix": prefix})
        self._scripts = QueueScripts(self._client, prefix, queue)

    async def add(
        self, task: PaperTask, *, attempts: int = ATTEMPTS, priority: int | None = None, delay_ms: int = 0
    ) -> str:
        """Add a job and return its id; a paper that still waits or runs in this queue keeps its earlier job's id."""
        options: dict[str, Any] = {
            "attempts": attempts,
            "backoff": {"type": "exponential", "delay": BACKOFF_MS},
            "removeOnComplete": KEEP_COMPLETED,
            "removeOnFail": KEEP_FAILED,
            "deduplication": {"id": task.paper_id},
        }
        if priority is not None:
            options["priority"] = priority
        if delay_ms:
            options["delay"] = delay_ms
        data = {"paperId": task.paper_id, "arxivUrl": task.arxiv_url}
        job = await ask(self._queue.add(self._name, data, options))
        return str(job.id)

    async def states(self, job_ids: Sequence[str]) -> list[JobState]:
        """How far each job is."""
        return await self._scripts.states(job_ids)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()
