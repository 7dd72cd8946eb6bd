"""One process's end of the queue: `MemoryJobQueue`, with every request to Redis under the test's control."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from model.crossing import Traffic
from paperjobs.errors import RedisUnavailable
from paperjobs.model import (
    Budget,
    Claim,
    EnqueueOptions,
    Job,
    JobState,
    Outcome,
    QueueSettings,
    QueueState,
    RateLimit,
    WindowFull,
)
from support.memory_queue import MemoryJobQueue

BLOCK_S: Final = 25.0
"""As long as one blocking wait of BullmqJobQueue."""


class QueueLedger(Protocol):
    """Who is told of what Redis did for a process."""

    def claimed(self, job: Job, process: str) -> None:
        """A job was claimed, and its start counted."""

    def reserved(self, token: str, process: str) -> None:
        """A start was counted again, for a launch that was held up."""

    def finished(self, job_id: str, claim: Claim, outcome: Outcome) -> None:
        """A claim was ended."""


@dataclass
class QueueEnd:
    """Implements `paperjobs.ports.JobQueue`; the ledger is told of every claim, start and end that Redis made."""

    queue: MemoryJobQueue
    traffic: Traffic
    process: str
    ledger: QueueLedger
    listeners: list[asyncio.Future[None]] = field(default_factory=list)
    """Who waits for work."""
    request_listeners: list[asyncio.Future[None]] = field(default_factory=list)

    def update(self, settings: QueueSettings) -> None:
        self.queue.update(settings)

    def new_token(self) -> str:
        return self.queue.new_token()

    async def observe(self, rate_limit: RateLimit | None, budgets: Sequence[Budget] = ()) -> QueueState:
        return await self._ask("observe", lambda: self.queue.observe(rate_limit, budgets), reads=True)  # type: ignore[no-any-return]

    async def claim(self, token: str, lock_ms: int, rate_limit: RateLimit | None) -> Job | WindowFull | None:
        async def claim() -> Job | WindowFull | None:
            claimed = await self.queue.claim(token, lock_ms, rate_limit)
            if isinstance(claimed, Job):
                self.ledger.claimed(claimed, self.process)
            return claimed

        return await self._ask("claim", claim)  # type: ignore[no-any-return]

    async def reserve(self, token: str, rate_limit: RateLimit | None) -> int | None:
        async def reserve() -> int | None:
            opens = await self.queue.reserve(token, rate_limit)
            if opens is None:
                self.ledger.reserved(token, self.process)
            return opens

        return await self._ask("reserve", reserve)  # type: ignore[no-any-return]

    async def unreserve(self, token: str) -> None:
        await self._ask("unreserve", lambda: self.queue.unreserve(token))

    async def restore_starts(self, starts: Mapping[str, int]) -> None:
        await self._ask("restore starts", lambda: self.queue.restore_starts(starts))

    async def storage_problem(self) -> str:
        return ""

    async def load(self, job_id: str, claim: Claim) -> Job | None:
        return await self._ask(f"load {job_id}", lambda: self.queue.load(job_id, claim), reads=True)  # type: ignore[no-any-return]

    async def relock(self, job_id: str, claim: Claim, lock_ms: int) -> bool:
        return bool(await self._ask(f"relock {job_id}", lambda: self.queue.relock(job_id, claim, lock_ms)))

    async def record_launch(self, job_id: str, claim: Claim) -> None:
        await self._ask(f"record launch of {job_id}", lambda: self.queue.record_launch(job_id, claim))

    async def finish(self, job_id: str, claim: Claim, outcome: Outcome) -> bool:
        async def finish() -> bool:
            finished = await self.queue.finish(job_id, claim, outcome)
            if finished:
                self.ledger.finished(job_id, claim, outcome)
            return finished

        return bool(await self._ask(f"finish {job_id}/{claim.number} as {outcome.reason}", finish))

    async def hold(self, duration_ms: int) -> None:
        await self._ask("hold", lambda: self.queue.hold(duration_ms))

    async def hold_budget(self, budget: Budget, duration_ms: int, by: str) -> None:
        await self._ask("hold budget", lambda: self.queue.hold_budget(budget, duration_ms, by))

    async def mirror_budgets(self, budgets: Sequence[Budget]) -> None:
        await self._ask("mirror budgets", lambda: self.queue.mirror_budgets(budgets))

    async def mirror_limits(self, concurrency: int, rate_limit: RateLimit | None) -> None:
        await self._ask("mirror limits", lambda: self.queue.mirror_limits(concurrency, rate_limit))

    async def request_cancel(self, job_id: str, message: str) -> None:
        await self._ask(f"request cancel of {job_id}", lambda: self.queue.request_cancel(job_id, message))

    async def take(self, job_id: str, lock_ms: int) -> Job | None:
        return await self._ask(f"take {job_id}", lambda: self.queue.take(job_id, lock_ms))  # type: ignore[no-any-return]

    async def drop_cancel(self, job_id: str) -> None:
        await self._ask(f"drop cancel of {job_id}", lambda: self.queue.drop_cancel(job_id))

    async def enqueue(self, job_id: str, name: str, data: str, options: EnqueueOptions) -> None:
        await self._ask(f"enqueue {job_id}", lambda: self.queue.enqueue(job_id, name, data, options))

    async def states(self, job_ids: Iterable[str]) -> Mapping[str, JobState]:
        ids = list(job_ids)
        if not ids:
            return {}
        return await self._ask("states", lambda: self.queue.states(ids), reads=True)  # type: ignore[no-any-return]

    async def return_abandoned(self) -> None:
        await self._ask("check stalled", self.queue.return_abandoned)

    async def wait_for_work(self) -> bool:
        await self._listen(self.listeners)
        return True

    async def wait_for_request(self) -> bool:
        await self._listen(self.request_listeners)
        return True

    async def close(self) -> None:
        pass

    async def _listen(self, listeners: list[asyncio.Future[None]]) -> None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[None] = loop.create_future()
        listeners.append(answer)
        timer = loop.call_later(BLOCK_S, answer.cancel)
        try:
            await asyncio.wait([answer])
        finally:
            timer.cancel()
            listeners.remove(answer)

    async def _ask(self, what: str, act: Callable[[], Coroutine[Any, Any, Any]], *, reads: bool = False) -> Any:
        return await self.traffic.cross(self.process, what, act, unavailable=RedisUnavailable, reads=reads)
