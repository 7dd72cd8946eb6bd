"""The engine's JobQueue in memory, on a clock that the test owns. The same conformance tests run on it and on
`BullmqJobQueue` with a real Valkey (tests/integration/conformance)."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from paperjobs.bullmq import parse
from paperjobs.bullmq.jobqueue import KEEP_A_WEEK
from paperjobs.bullmq.retry import RetryAfter, decide_retry, too_many_disruptions
from paperjobs.model import (
    ActiveJob,
    Budget,
    BudgetUse,
    CancelRequest,
    Claim,
    Counts,
    EnqueueOptions,
    Job,
    JobState,
    LockState,
    Outcome,
    OutcomeKind,
    QueueSettings,
    QueueState,
    RateLimit,
    WindowFull,
)
from support.fakeclock import FakeClock
from support.memory_bullmq import RATE_LIMITED_BY_APP, MemoryBullmq, StoredJob
from support.memory_starts import MemoryStarts

POLL_SECONDS: Final = 0.01

_token_numbers = itertools.count()


class MemoryRedis:
    """What one queue's keys in Redis hold: shared by all replicas."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.bullmq = MemoryBullmq(clock=clock)
        self.starts = MemoryStarts(clock=clock)
        self.mirrored: dict[str, int] = {}
        self.cancels: dict[str, tuple[int, str]] = {}
        """Requests by job id: which life of that id, and the message."""
        self.cancel_requested = False
        """Wakes whoever waits for requests."""
        self.budget_holds: dict[str, tuple[int, str]] = {}
        """Until when, and which run was asked to wait."""
        self.server = "memory"


class MemoryJobQueue:
    """One replica's end of a queue; implements `paperjobs.ports.JobQueue`. Its awaits never wait: a test that wants
    things to happen in between wraps it."""

    def __init__(self, settings: QueueSettings, redis: MemoryRedis, installation: str, term: int = 0) -> None:
        self._settings = settings
        self._redis = redis
        self._bullmq = redis.bullmq
        self._starts = redis.starts
        self._installation = installation
        self._term = term

    def update(self, settings: QueueSettings) -> None:
        self._settings = settings

    def new_token(self) -> str:
        return f"{parse.token_prefix(self._installation)}{next(_token_numbers):08d}"

    async def observe(self, rate_limit: RateLimit | None, budgets: Sequence[Budget] = ()) -> QueueState:
        self._starts.check_term(self._installation, self._term)
        bullmq, now = self._bullmq, self._redis.clock.now
        self._count_foreign_starts(rate_limit)
        held = self._starts.held
        opens = self._starts.opens_at(rate_limit)
        if bullmq.limiter_used >= RATE_LIMITED_BY_APP:
            held = max(held or 0, bullmq.limiter_until)
        elif bullmq.limiter_used and bullmq.limiter_used >= bullmq.meta.get("max", bullmq.limiter_used + 1):
            opens = max(opens or 0, bullmq.limiter_until)
        return QueueState(
            now=now,
            active=tuple(self._active_job(bullmq.jobs[job_id]) for job_id in bullmq.active),
            counts=Counts(
                waiting=len(bullmq.wait) + len(bullmq.prioritized),
                delayed=len(bullmq.delayed),
                active=len(bullmq.active),
                completed=len(bullmq.completed),
                failed=len(bullmq.failed),
            ),
            paused=bullmq.paused,
            next_delayed_at=bullmq.next_delayed_at,
            window_used=self._starts.used(rate_limit),
            window_opens_at=opens,
            held_until=held,
            server=self._redis.server,
            app_concurrency=bullmq.meta.get("concurrency"),
            cancels=tuple(
                CancelRequest(job_id=job_id, message=message) for job_id, (_, message) in self._redis.cancels.items()
            ),
            budgets=tuple(self._budget(budget.name) for budget in budgets),
        )

    async def claim(self, token: str, lock_ms: int, rate_limit: RateLimit | None) -> Job | WindowFull | None:
        self._starts.check_term(self._installation, self._term)
        until = self._starts.refused_until(rate_limit, token)
        if until is not None:
            return WindowFull(opens_at=until)
        job = self._bullmq.move_to_active(token, lock_ms, worker=token)
        if job is None:
            return None
        self._starts.at[token] = self._redis.clock.now
        return self._job(job)

    async def reserve(self, token: str, rate_limit: RateLimit | None) -> int | None:
        self._starts.check_term(self._installation, self._term)
        until = self._starts.refused_until(rate_limit, token)
        if until is None:
            self._starts.at[token] = self._redis.clock.now
        return until

    async def unreserve(self, token: str) -> None:
        self._starts.at.pop(token, None)

    async def restore_starts(self, starts: Mapping[str, int]) -> None:
        for token, at in starts.items():
            self._starts.at.setdefault(token, min(at, self._redis.clock.now))

    async def storage_problem(self) -> str:
        return ""

    async def load(self, job_id: str, claim: Claim) -> Job | None:
        job = self._current(job_id, claim)
        return None if job is None else self._job(job)

    async def relock(self, job_id: str, claim: Claim, lock_ms: int) -> bool:
        job = self._current(job_id, claim)
        if job is None or self._bullmq.lock_of(job_id) not in ("", claim.token):
            return False
        job.lock, job.lock_until = claim.token, self._redis.clock.now + lock_ms
        self._bullmq.stalled.discard(job_id)
        return True

    async def record_launch(self, job_id: str, claim: Claim) -> None:
        job = self._current(job_id, claim)
        if job is not None:
            job.launched = f"{claim.token}:{claim.number}"

    async def finish(self, job_id: str, claim: Claim, outcome: Outcome) -> bool:
        job = self._bullmq.jobs.get(job_id)
        if job is None:
            return False
        if outcome.kind in (OutcomeKind.RATE_LIMITED, OutcomeKind.NEVER_RAN):
            return self._bullmq.give_back(job_id, claim.token)
        if outcome.kind is OutcomeKind.DISRUPTED:
            tired = too_many_disruptions(outcome, job.disruptions + 1, self._settings)
            if tired is None:
                given_back = self._bullmq.give_back(job_id, claim.token)
                job.disruptions += given_back
                return given_back
            outcome = tired
        over: dict[str, Any] = {"launched": "", "disruptions": 0}
        if outcome.kind is OutcomeKind.COMPLETED:
            value = json.dumps(outcome.result, separators=(",", ":"))
            return self._bullmq.finish(job_id, claim.token, "completed", {"returnvalue": value, **over})
        reason = {"failed_reason": outcome.message or outcome.reason}
        match decide_retry(job.opts, job.atm, outcome, self._settings, lambda: 0.5):
            case RetryAfter(delay_ms=delay_ms):
                return self._bullmq.retry(job_id, claim.token, delay_ms, {"disruptions": 0, **reason})
            case _:
                return self._bullmq.finish(job_id, claim.token, "failed", {**reason, **over})

    async def hold(self, duration_ms: int) -> None:
        self._starts.hold(duration_ms)

    async def hold_budget(self, budget: Budget, duration_ms: int, by: str) -> None:
        ends = self._redis.clock.now + duration_ms
        if ends > self._redis.budget_holds.get(budget.name, (0, ""))[0]:
            self._redis.budget_holds[budget.name] = (ends, by)

    async def mirror_budgets(self, budgets: Sequence[Budget]) -> None:
        """Runs draw on budgets; here are none."""

    async def mirror_limits(self, concurrency: int, rate_limit: RateLimit | None) -> None:
        meta, mirrored = self._bullmq.meta, self._redis.mirrored

        def by_app(name: str) -> bool:
            return name in meta and meta[name] != mirrored.get(name)

        if not (by_app("concurrency") and meta["concurrency"] < concurrency) and meta.get("concurrency") != concurrency:
            meta["concurrency"] = mirrored["concurrency"] = concurrency
        theirs = by_app("max") or by_app("duration")
        if rate_limit is None:
            if not theirs:
                for name in ("max", "duration"):
                    meta.pop(name, None)
                    mirrored.pop(name, None)
            return
        lower = theirs and meta.get("max", 0) * rate_limit.per_ms < rate_limit.max * meta.get("duration", 0)
        wanted = {"max": rate_limit.max, "duration": rate_limit.per_ms}
        if not lower and any(meta.get(name) != value for name, value in wanted.items()):
            meta.update(wanted)
            mirrored.update(wanted)
            if self._bullmq.limiter_used < RATE_LIMITED_BY_APP:
                self._bullmq.limiter_until = 0

    async def request_cancel(self, job_id: str, message: str) -> None:
        job = self._bullmq.jobs.get(job_id)
        if job is not None and self._bullmq.state_of(job_id) not in ("completed", "failed"):
            self._redis.cancels[job_id] = (job.added, message)
            self._redis.cancel_requested = True

    async def take(self, job_id: str, lock_ms: int) -> Job | None:
        job = self._bullmq.jobs.get(job_id)
        life, _ = self._redis.cancels.get(job_id, (0, ""))
        if job is None or job.added != life:
            self._redis.cancels.pop(job_id, None)
            return None
        if job_id in self._bullmq.active:
            return None
        taken = self._bullmq.take(job_id, self.new_token(), lock_ms)
        if taken is None:
            self._redis.cancels.pop(job_id, None)
        return None if taken is None else self._job(taken)

    async def drop_cancel(self, job_id: str) -> None:
        self._redis.cancels.pop(job_id, None)

    async def wait_for_request(self) -> bool:
        while not self.take_request():  # noqa: ASYNC110 - who asks for it tells nobody
            await asyncio.sleep(POLL_SECONDS)
        return True

    def take_request(self) -> bool:
        """What the blocking pop of our own wake-up would have answered now."""
        asked, self._redis.cancel_requested = self._redis.cancel_requested, False
        return asked

    async def enqueue(self, job_id: str, name: str, data: str, options: EnqueueOptions) -> None:
        opts: dict[str, Any] = {"jobId": job_id, "attempts": options.attempts}
        opts |= {"removeOnComplete": KEEP_A_WEEK, "removeOnFail": KEEP_A_WEEK}
        if options.priority:
            opts["priority"] = options.priority
        backoff = options.backoff or (self._settings.backoff if options.attempts else None)
        if backoff is not None:
            opts["backoff"] = {"type": backoff.type.value, "delay": backoff.delay_ms, "jitter": backoff.jitter}
        if options.not_before is not None:
            opts["delay"] = max(0, options.not_before - self._redis.clock.now)
        self._bullmq.add(name, data, opts)

    async def states(self, job_ids: Iterable[str]) -> Mapping[str, JobState]:
        return {job_id: self._state(job_id) for job_id in job_ids}

    async def return_abandoned(self) -> None:
        self._bullmq.check_stalled()

    async def wait_for_work(self) -> bool:
        while not self.take_marker():  # noqa: ASYNC110 - who adds a job tells nobody
            await asyncio.sleep(POLL_SECONDS)
        return True

    def take_marker(self) -> bool:
        """What the blocking pop of BullMQ's marker would have answered now."""
        marker = self._bullmq.marker
        if marker:
            marker.pop(min(marker, key=lambda name: (marker[name], name)))
            return True
        return False

    async def close(self) -> None:
        pass

    # --- reading

    def _current(self, job_id: str, claim: Claim) -> StoredJob | None:
        """The job when that claim is not over."""
        job = self._bullmq.jobs.get(job_id)
        same = job is not None and (job.pb, job.ats) == (claim.token, claim.number) and job_id in self._bullmq.active
        return job if same else None

    def _job(self, job: StoredJob) -> Job:
        fields = {
            "name": job.name,
            "data": job.data,
            "ats": str(job.ats),
            "atm": str(job.atm),
            "pb": job.pb,
            "pjl": job.launched,
            "pjd": str(job.disruptions),
            "defa": job.deferred_failure or "",
        }
        return parse.job(job.id, fields, self._installation)

    def _active_job(self, job: StoredJob) -> ActiveJob:
        superseded = job.pb.startswith(parse.TOKEN_PREFIX) and job.claim_record != f"{job.pb}:{job.ats}"
        entry = [
            job.id,
            str(job.ats),
            "" if superseded else job.pb,
            self._bullmq.lock_of(job.id),
            job.launched,
            str(job.atm),
            job.progress,
        ]
        return parse._active(entry, parse.token_prefix(self._installation))

    def _budget(self, name: str) -> BudgetUse:
        until, by = self._redis.budget_holds.get(name, (0, ""))
        held = until > self._redis.clock.now
        return BudgetUse(name=name, held_until=until if held else None, held_by=by if held else "")

    def _count_foreign_starts(self, limit: RateLimit | None) -> None:
        """Starts of foreign workers count too, as far as they are seen."""
        if limit is None:
            return
        for job_id in self._bullmq.active:
            job = self._bullmq.jobs[job_id]
            ours = self._active_job(job).lock in (LockState.OURS, LockState.LOST)
            recent = self._redis.clock.now - job.processed_on <= limit.per_ms
            if not ours and recent and job.pb not in self._starts.at:
                self._starts.at.setdefault(f"foreign:{job_id}:{job.ats}", job.processed_on)

    def _state(self, job_id: str) -> JobState:
        job = self._bullmq.jobs.get(job_id)
        if job is None:
            return JobState(phase=None)
        due = str(self._bullmq.delayed[job_id] >> 12) if job_id in self._bullmq.delayed else ""
        finished = "" if job.finished_on is None else str(job.finished_on)
        entry = [
            self._bullmq.state_of(job_id),
            str(job.atm),
            job.progress,
            job.failed_reason,
            job.returnvalue or "",
            finished,
            due,
        ]
        return parse.job_state(entry)
