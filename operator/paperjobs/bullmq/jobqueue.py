"""`BullmqJobQueue`: one BullMQ queue as the engine's JobQueue port.

A claim is known by its lock token, which no other claim has: it is the value of BullMQ's lock, and `pb` (processedBy)
of the job's hash keeps it when the lock is lost. BullMQ's own finishing scripts compare it, so a stale run can never
finish a newer claim.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from bullmq import Queue
from bullmq.job_scheduler import JobScheduler
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from paperjobs.bullmq import parse
from paperjobs.bullmq.budgets import Budgets
from paperjobs.bullmq.connection import BLOCK_S, COMMAND_TIMEOUT_S, QUIET_BLOCK_S, ask, open_client
from paperjobs.bullmq.parse import token_prefix
from paperjobs.bullmq.retry import RetryAfter, decide_retry, too_many_disruptions
from paperjobs.bullmq.schedule import next_due
from paperjobs.bullmq.scripts import Damaged, FinishingJob, QueueScripts, Reign, ScriptRefused
from paperjobs.errors import RedisRefused, RedisUnavailable
from paperjobs.model import (
    Budget,
    Claim,
    EnqueueOptions,
    Job,
    JobState,
    Outcome,
    OutcomeKind,
    QueueSettings,
    QueueState,
    RateLimit,
    WindowFull,
)
from paperjobs.settings import RedisSettings

log = logging.getLogger(__name__)

FAILED_CHILDREN: Final = -9
PENDING_CHILDREN: Final = -4
"""BullMQ's ErrorCode values for a parent that cannot complete; a BullMQ worker fails it with that message."""

NEVER_EVICTS: Final = "noeviction"
"""The only maxmemory-policy that BullMQ and we can work on."""

STUMBLES: Final = (RedisRefused, TypeError, ValueError, OverflowError)
"""What BullMQ's scripts and its package raise over a job that nobody's client wrote so."""

KEEP_A_WEEK: Final = {"age": 7 * 24 * 3600}
"""Jobs made with kubectl stay in Redis for a week after their end (BullMQ counts in seconds)."""


def new_token(installation: str) -> str:
    """A token for one reservation and one claim; the prefix tells our claims from those of other workers."""
    return f"{token_prefix(installation)}{uuid.uuid4().hex}"


def eviction_problem(memory: Mapping[str, Any]) -> str:
    """Why a Redis with this answer to INFO memory may lose jobs; empty when it keeps everything."""
    policy, limit = str(memory.get("maxmemory_policy", NEVER_EVICTS)), parse.number(memory.get("maxmemory"))
    if policy == NEVER_EVICTS or limit == 0:
        return ""
    return (
        f"Redis has maxmemory-policy {policy} and may evict jobs and limits; nothing starts until it is "
        f"{NEVER_EVICTS} (redis-cli config set maxmemory-policy {NEVER_EVICTS}, or ElastiCache's parameter group)"
    )


class BullmqJobQueue:
    """A queue in Redis; implements `paperjobs.ports.JobQueue`."""

    def __init__(self, settings: QueueSettings, redis: RedisSettings, installation: str, term: int = 0) -> None:
        """`installation` is the same for all replicas that share a cluster, and unlike that of any other: jobs that
        another installation claimed are left alone, since their runs cannot be seen from here. `term` grows with every
        change of the leader; where only one process can act (local mode) it stays 0."""
        self._reign = Reign(installation=installation, term=term)
        self._settings = settings
        self._client: Redis = open_client(redis)
        self._blocking: Redis = open_client(redis)
        self._waiting: Redis = open_client(redis)
        self._scripts = QueueScripts(self._client, settings.prefix, settings.queue)
        self._budgets = Budgets(self._client)
        self._queue = Queue(settings.queue, {"connection": self._client, "prefix": settings.prefix})

    def update(self, settings: QueueSettings) -> None:
        self._settings = settings

    def new_token(self) -> str:
        return new_token(self._reign.installation)

    async def observe(self, rate_limit: RateLimit | None, budgets: Sequence[Budget] = ()) -> QueueState:
        installation = self._reign.installation
        try:
            answer = await self._scripts.observe(rate_limit, self._reign, token_prefix(installation))
        except RedisRefused as error:
            if misused := await self._scripts.misused():
                message = (
                    f"{', '.join(misused)} holds something else than BullMQ keeps there: remove the job of that id"
                )
                raise RedisRefused(message) from error
            raise
        state = parse.queue_state(answer, installation)
        return replace(state, budgets=await self._budgets.look(budgets)) if budgets else state

    async def reserve(self, token: str, rate_limit: RateLimit | None) -> int | None:
        return await self._scripts.reserve(token, rate_limit, self._reign) or None

    async def unreserve(self, token: str) -> None:
        await ask(self._client.zrem(self._scripts.key("paperjobs:starts"), token))

    async def claim(self, token: str, lock_ms: int, rate_limit: RateLimit | None = None) -> Job | WindowFull | None:
        while isinstance(claimed := await self._scripts.claim(token, lock_ms, rate_limit, self._reign), Damaged):
            self._tell_burial(claimed.job_id, claimed.why)
        if claimed is None:
            return None
        if isinstance(claimed, int):
            return WindowFull(opens_at=claimed)
        return await self._claimed(*claimed)

    async def restore_starts(self, starts: Mapping[str, int]) -> None:
        if starts and (missing := await self._scripts.restore_starts(starts)):
            log.warning(
                "Redis had lost %d starts of the rate limit's window; they are put back as the cluster knows them",
                missing,
                extra={"action": "starts_restored", "queue": self._settings.queue},
            )

    async def load(self, job_id: str, claim: Claim) -> Job | None:
        fields = await self._scripts.load(job_id, claim.token, claim.number)
        # The crash that made this reading necessary may have come before the scheduler's next iteration was added.
        return None if fields is None else await self._claimed(job_id, fields)

    async def storage_problem(self) -> str:
        try:
            memory = await ask(self._client.info("memory"))
        except RedisUnavailable as error:
            if not isinstance(error.__cause__, NoPermissionError):
                raise
            return ""  # An ACL user without INFO: nobody can know.
        return eviction_problem(memory)

    async def relock(self, job_id: str, claim: Claim, lock_ms: int) -> bool:
        return await self._scripts.relock(job_id, claim.token, claim.number, lock_ms)

    async def record_launch(self, job_id: str, claim: Claim) -> None:
        await self._scripts.record_launch(job_id, claim.token, claim.number)

    async def finish(self, job_id: str, claim: Claim, outcome: Outcome) -> bool:
        try:
            await self._finish(job_id, claim, outcome)
        except ScriptRefused as refused:
            if refused.code not in (FAILED_CHILDREN, PENDING_CHILDREN):
                return False
            kind = OutcomeKind.NEVER if refused.code == FAILED_CHILDREN else OutcomeKind.FAILED
            failed = Outcome(kind=kind, reason="UnfinishedChildren", message=str(refused))
            return await self.finish(job_id, claim, failed)
        except STUMBLES as error:
            if why := await self._scripts.bury(job_id, claim.token, f"{error}"[:500]):
                self._tell_burial(job_id, why)
            return bool(why)
        return True

    async def hold(self, duration_ms: int) -> None:
        await self._scripts.hold(duration_ms)

    async def hold_budget(self, budget: Budget, duration_ms: int, by: str) -> None:
        await self._budgets.hold(budget, duration_ms, by)

    async def mirror_budgets(self, budgets: Sequence[Budget]) -> None:
        await self._budgets.mirror(budgets)

    async def mirror_limits(self, concurrency: int, rate_limit: RateLimit | None) -> None:
        await self._scripts.mirror(concurrency, rate_limit)

    async def request_cancel(self, job_id: str, message: str) -> None:
        await self._scripts.request_cancel(job_id, message)

    async def take(self, job_id: str, lock_ms: int) -> Job | None:
        fields = await self._scripts.take(job_id, self.new_token(), lock_ms)
        # One job is cancelled, not the schedule that it is a part of.
        return None if fields is None else await self._claimed(job_id, fields)

    async def drop_cancel(self, job_id: str) -> None:
        await ask(self._client.hdel(self._scripts.key("paperjobs:cancel"), job_id))

    async def enqueue(self, job_id: str, name: str, data: str, options: EnqueueOptions) -> None:
        opts: dict[str, Any] = {"jobId": job_id, "attempts": options.attempts}
        opts |= {"removeOnComplete": KEEP_A_WEEK, "removeOnFail": KEEP_A_WEEK}
        if options.priority:
            opts["priority"] = options.priority
        # A producer that sets attempts and no backoff wants none (npm); a person who sets attempts wants the queue's.
        backoff = options.backoff or (self._settings.backoff if options.attempts else None)
        if backoff is not None:
            opts["backoff"] = {"type": backoff.type.value, "delay": backoff.delay_ms, "jitter": backoff.jitter}
        if options.not_before is not None:
            opts["delay"] = max(0, options.not_before - await self._scripts.now())
        await ask(self._queue.add(name, json.loads(data), opts))

    async def states(self, job_ids: Iterable[str]) -> Mapping[str, JobState]:
        ids = list(job_ids)
        return dict(zip(ids, await self._scripts.states(ids), strict=True))

    async def return_abandoned(self) -> None:
        await self._scripts.return_abandoned()

    async def wait_for_work(self) -> bool:
        """BullMQ puts a marker where a worker may find work; taking it is safe, since a tick claims until empty."""
        work = self._blocking.bzpopmin([self._scripts.key("marker")], timeout=BLOCK_S)
        return await ask(work, timeout_s=BLOCK_S + COMMAND_TIMEOUT_S) is not None

    async def wait_for_request(self) -> bool:
        request = self._waiting.bzpopmin([self._scripts.key("paperjobs:wake")], timeout=QUIET_BLOCK_S)
        return await ask(request, timeout_s=QUIET_BLOCK_S + COMMAND_TIMEOUT_S) is not None

    async def close(self) -> None:
        # A command that was cancelled gives its connection back in a task of redis-py's own: let that run first.
        await asyncio.sleep(0.01)
        await self._blocking.aclose()
        await self._waiting.aclose()
        await self._client.aclose()

    async def _finish(self, job_id: str, claim: Claim, outcome: Outcome) -> None:
        if outcome.kind in (OutcomeKind.RATE_LIMITED, OutcomeKind.NEVER_RAN):
            await self._scripts.return_to_wait(job_id, claim.token, disrupted=False)
            return
        names = ["atm", "opts", "stacktrace", "pjd"]
        key = self._scripts.key(job_id)
        made, raw_opts, stacktrace, disruptions = await ask(self._client.hmget(key, names))
        if broken := [name for name, text in (("atm", made), ("pjd", disruptions)) if not parse.is_count(text)]:
            # Redis would refuse to count on, and a run that has ended must not be lost to that.
            await ask(self._client.hdel(key, *broken))
        if outcome.kind is OutcomeKind.DISRUPTED:
            tired = too_many_disruptions(outcome, parse.number(disruptions) + 1, self._settings)
            if tired is None and outcome.retry_after_ms:
                count = {"pjd": str(parse.number(disruptions) + 1)}
                await self._scripts.return_later(job_id, claim.token, outcome.retry_after_ms, count)
                return
            if tired is None:
                await self._scripts.return_to_wait(job_id, claim.token, disrupted=True)
                return
            outcome = tired
        # Disruptions are counted for each attempt.
        counter_reset = {"pjd": "0"} if disruptions else {}
        opts = parse.options(raw_opts)
        job = FinishingJob(
            id=job_id, attempts=parse.number(opts.get("attempts")), attemptsMade=parse.number(made), opts=opts
        )
        if outcome.kind is OutcomeKind.COMPLETED:
            await self._scripts.move_to_completed(job, claim.token, outcome.result, counter_reset)
            return
        reason = parse.utf8(outcome.message or outcome.reason)
        trace = parse.stacktrace(stacktrace, f"{outcome.reason}: {reason}\n    at claim {claim.number}", opts)
        fields = {"failedReason": reason, "stacktrace": json.dumps(trace, separators=(",", ":")), **counter_reset}
        match decide_retry(opts, job.attemptsMade, outcome, self._settings, random.random):
            case RetryAfter(delay_ms=delay_ms):
                await self._scripts.retry(job, claim.token, delay_ms, fields)
            case _:
                await self._scripts.move_to_failed(job, claim.token, reason, fields)

    def _tell_burial(self, job_id: str, why: str) -> None:
        log.error(
            "A job that BullMQ's own scripts fail on was taken out of its queue: %s",
            why,
            extra={"action": "job_damaged", "queue": self._settings.queue, "job": job_id},
        )

    async def _keep_template(self, scheduler_id: str, data: str) -> None:
        """BullMQ 5's `add` with `repeat` keeps the data with each job only, and its workers carry them over; a
        scheduler (which counts its iterations in `ic`) keeps them itself."""
        scheduler = self._scripts.key(f"repeat:{scheduler_id}")
        name, iterations, template = await ask(self._client.hmget(scheduler, ["name", "ic", "data"]))
        if name is not None and iterations is None and template is None:
            await ask(self._client.hset(scheduler, "data", data))

    async def _claimed(self, job_id: str, fields: Mapping[str, str]) -> Job:
        """A job that was claimed: its scheduler's next iteration is added with it."""
        await self._schedule_next(job_id, fields)
        return parse.job(job_id, fields, self._reign.installation)

    async def _schedule_next(self, job_id: str, fields: Mapping[str, str]) -> None:
        """The claimer of a scheduler's job adds the scheduler's next iteration (npm: nextJobFromJobData)."""
        scheduler_id = fields.get("rjk")
        if not scheduler_id:
            return
        opts = parse.options(fields.get("opts"))
        try:
            await self._keep_template(scheduler_id, fields.get("data", ""))
            upsert = JobScheduler(self._queue, next_due).upsertJobScheduler(
                scheduler_id,
                opts.get("repeat"),
                fields.get("name", ""),
                parse.data(fields.get("data")),
                opts,
                override=False,
                producer_id=job_id,
            )
            await ask(upsert)
        except RedisUnavailable:
            raise
        except Exception as error:
            # The package raises whatever strange repeat options make it stumble over; the job itself is claimed.
            log.warning(
                "A job scheduler's next iteration could not be added, the schedule ends here: %s",
                error,
                extra={"action": "schedule_broken", "queue": self._settings.queue, "job": job_id},
            )
