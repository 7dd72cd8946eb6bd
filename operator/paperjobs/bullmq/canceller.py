"""Asks for jobs to be cancelled, from outside the engine. Whoever serves the queue carries it out, now or later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from redis.asyncio import Redis

from paperjobs.bullmq import parse
from paperjobs.bullmq.connection import open_client
from paperjobs.bullmq.scripts import QueueScripts
from paperjobs.model import JobState
from paperjobs.settings import RedisSettings


class Place(StrEnum):
    """Where a job stood when its cancellation was asked for."""

    NOWHERE = ""
    WAITING = "waiting"
    DELAYED = "delayed"
    WAITING_CHILDREN = "waiting-children"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What became of a request."""

    place: Place
    foreign: bool = False
    """A BullMQ worker that is not PaperJobs runs the job, and cannot be made to stop."""
    failed_reason: str = ""
    """Of a job that has failed already."""

    @property
    def requested(self) -> bool:
        """Whether there was anything to cancel."""
        return self.place not in (Place.NOWHERE, Place.COMPLETED, Place.FAILED)


class CancelDesk:
    """Takes requests for one queue, as an async context manager. Raises RedisUnavailable when Redis cannot be asked."""

    def __init__(self, queue: str, redis: RedisSettings, *, prefix: str = "bull") -> None:
        self._client: Redis = open_client(redis)
        self._scripts = QueueScripts(self._client, prefix, queue)

    async def request(self, job_id: str, message: str) -> Answer:
        """Ask for a job's end; `message` becomes its failedReason."""
        state, who = await self._scripts.request_cancel(job_id, parse.utf8(message))
        place = Place(state)
        if place is Place.ACTIVE:
            return Answer(place=place, foreign=not who.startswith(parse.TOKEN_PREFIX))
        return Answer(place=place, failed_reason=who)

    async def states(self, job_ids: Sequence[str]) -> list[JobState]:
        """How far each job is."""
        return await self._scripts.states(job_ids)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()
