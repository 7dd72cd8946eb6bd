"""One BullMQ queue in memory: the same lists and sets as in Redis, moved as BullMQ's own scripts move them.

Only what the engine's tests need of BullMQ: no flows, no schedulers, no deduplication, no event stream. The conformance
tests hold it against the real one. Times are ms of the fake clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from paperjobs.bullmq.scripts import MAX_STALLED_COUNT, STALLED_INTERVAL_MS
from support.fakeclock import FakeClock

RATE_LIMITED_BY_APP: Final = 2**53 - 1
"""What BullMQ's limiter holds after the app's `queue.rateLimit(ms)`."""


@dataclass
class StoredJob:
    """A job's hash and its lock; the field names of ours follow BullMQ's."""

    id: str
    name: str
    data: str
    opts: Mapping[str, Any]
    added: int = 0
    """Tells one life of an id from the next, as the timestamp does."""
    ats: int = 0
    atm: int = 0
    stc: int = 0
    pb: str = ""
    claim_record: str = ""
    """`pjc`: which claim `pb` is of."""
    processed_on: int = 0
    launched: str = ""
    disruptions: int = 0
    progress: str = ""
    failed_reason: str = ""
    returnvalue: str | None = None
    finished_on: int | None = None
    deferred_failure: str | None = None
    lock: str = ""
    lock_until: int = 0

    @property
    def priority(self) -> int:
        return int(self.opts.get("priority", 0))


@dataclass
class MemoryBullmq:
    """The state of one queue. `claimed` and `ended` are told of every claim and every final end, whoever made it."""

    clock: FakeClock
    jobs: dict[str, StoredJob] = field(default_factory=dict)
    wait: deque[str] = field(default_factory=deque)
    """Claims pop on the right."""
    active: deque[str] = field(default_factory=deque)
    prioritized: dict[str, int] = field(default_factory=dict)
    delayed: dict[str, int] = field(default_factory=dict)
    completed: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    stalled: set[str] = field(default_factory=set)
    stalled_check_until: int = 0
    paused: bool = False
    meta: dict[str, int] = field(default_factory=dict)
    """`concurrency`, `max` and `duration` where they are set."""
    limiter: int = 0
    limiter_until: int = 0
    marker: dict[str, int] = field(default_factory=dict)
    claimed: Callable[[StoredJob, str], None] = lambda job, token: None
    ended: Callable[[StoredJob, str], None] = lambda job, state: None
    _priority_counter: int = 0
    _id_counter: int = 0

    # --- the producer's side

    def add(self, name: str, data: str, opts: Mapping[str, Any]) -> str:
        """Add a job; nothing happens when its id exists."""
        self._id_counter += 1
        job_id = str(opts.get("jobId") or self._id_counter)
        if job_id in self.jobs:
            return job_id
        job = self.jobs[job_id] = StoredJob(id=job_id, name=name, data=data, opts=opts, added=self._id_counter)
        if delay := int(opts.get("delay", 0)):
            self._delay(job_id, delay)
        else:
            self._enqueue(job, in_front=bool(opts.get("lifo")))
        return job_id

    def remove(self, job_id: str) -> bool:
        """As `job.remove()`: not while it is locked; one that is gone counts as removed."""
        if job_id not in self.jobs:
            return True
        if self.lock_of(job_id):
            return False
        for place in (self.wait, self.active):
            if job_id in place:
                place.remove(job_id)
        for ranked in (self.prioritized, self.delayed, self.completed, self.failed):
            ranked.pop(job_id, None)
        del self.jobs[job_id]
        return True

    def pause(self) -> None:
        self.paused = True
        self.marker.clear()

    def resume(self) -> None:
        self.paused = False
        if self.wait or self.prioritized:
            self.marker["0"] = 0
        else:
            self._mark_next_delayed()

    def rate_limit(self, ms: int) -> None:
        """As the app's `queue.rateLimit(ms)`."""
        self.limiter, self.limiter_until = RATE_LIMITED_BY_APP, self.clock.now + ms

    # --- a worker's side

    def move_to_active(self, token: str, lock_ms: int, worker: str | None) -> StoredJob | None:
        """Claim the next job under a lock; `worker` is the name that becomes `processedBy`, None leaves it alone."""
        closed = self._paused_or_maxed()
        self._promote(closed)
        most = self.meta.get("max")
        if most is not None and self.limiter_used >= most:
            return None
        if closed:
            return None
        job_id = self._next()
        if job_id is None:
            return None
        self.active.appendleft(job_id)
        job = self.jobs[job_id]
        if most is not None and job.deferred_failure is None:
            if self.limiter_used == 0:
                self.limiter, self.limiter_until = 0, self.clock.now + self.meta.get("duration", 0)
            self.limiter += 1
        job.lock, job.lock_until = token, self.clock.now + lock_ms
        if worker is not None:
            job.pb = worker
        job.processed_on = self.clock.now
        job.ats += 1
        if worker == token:  # as we claim: a BullMQ worker has a name of its own, or none
            job.claim_record = f"{token}:{job.ats}"
        self.marker["0"] = 0
        self.claimed(job, token)
        return job

    def take(self, job_id: str, token: str, lock_ms: int) -> StoredJob | None:
        """Claim exactly this job, wherever it waits."""
        if job_id in self.wait:
            self.wait.remove(job_id)
        elif self.prioritized.pop(job_id, None) is None and self.delayed.pop(job_id, None) is None:
            return None
        self.active.appendleft(job_id)
        job = self.jobs[job_id]
        job.lock, job.lock_until = token, self.clock.now + lock_ms
        job.pb, job.processed_on = token, self.clock.now
        job.ats += 1
        job.claim_record = f"{token}:{job.ats}"
        return job

    def finish(self, job_id: str, token: str, state: str, fields: Mapping[str, Any]) -> bool:
        """End a claim as completed or failed; False when it is over."""
        if not self._release(job_id, token):
            return False
        job = self.jobs[job_id]
        for name, value in fields.items():
            setattr(job, name, value)
        if not self._leave_active(job_id):
            return False
        job.atm += 1
        kept = _kept(job.opts.get("removeOnComplete" if state == "completed" else "removeOnFail", False))
        job.finished_on = self.clock.now
        if state == "failed":
            job.deferred_failure = None
        self.ended(job, state)
        ranked = self.completed if state == "completed" else self.failed
        ranked[job_id] = self.clock.now
        newest = sorted(ranked, key=lambda known: (ranked[known], known), reverse=True)
        for old in [] if kept is None else newest[kept:]:
            del ranked[old], self.jobs[old]
        return True

    def retry(self, job_id: str, token: str, delay_ms: int, fields: Mapping[str, Any]) -> bool:
        """Back to waiting or delayed with one more attempt made; False when the claim is over."""
        if delay_ms == 0:
            self._promote(self._paused_or_maxed())
        if not self._release(job_id, token):
            return False
        job = self.jobs[job_id]
        for name, value in fields.items():
            setattr(job, name, value)
        if not self._leave_active(job_id):
            return False
        job.atm += 1
        if delay_ms:
            self._delay(job_id, delay_ms)
        else:
            self._enqueue(job, in_front=bool(job.opts.get("lifo")))
        return True

    def give_back(self, job_id: str, token: str) -> bool:
        """Back to the front of the waiting jobs without an attempt; False when the claim is over."""
        if not self._release(job_id, token):
            return False
        if self._leave_active(job_id):
            job = self.jobs[job_id]
            if job.priority:
                self.prioritized[job_id] = job.priority << 32
            else:
                self._push(job_id, in_front=True)
        return True

    def check_stalled(self) -> None:
        """Mark what is active; what was marked before and has no lock goes back to the front."""
        if self.clock.now < self.stalled_check_until:
            return
        self.stalled_check_until = self.clock.now + STALLED_INTERVAL_MS
        marked, self.stalled = self.stalled, set()
        for job_id in sorted(marked):
            if not self.lock_of(job_id) and self._leave_active(job_id):
                job = self.jobs[job_id]
                job.stc += 1
                if job.stc > MAX_STALLED_COUNT:
                    job.deferred_failure = "job stalled more than allowable limit"
                self._push(job_id, in_front=True)
        self.stalled = set(self.active)

    # --- reading

    def lock_of(self, job_id: str) -> str:
        """The token of the lock, empty when there is none (any more)."""
        job = self.jobs.get(job_id)
        return job.lock if job is not None and job.lock_until > self.clock.now else ""

    @property
    def limiter_used(self) -> int:
        return self.limiter if self.limiter_until > self.clock.now else 0

    @property
    def next_delayed_at(self) -> int | None:
        return min(self.delayed.values()) >> 12 if self.delayed else None

    def state_of(self, job_id: str) -> str:
        """BullMQ's name of a job's state; empty when there is no such job."""
        if job_id not in self.jobs:
            return ""
        places = {"active": self.active, "delayed": self.delayed, "completed": self.completed, "failed": self.failed}
        return next((state for state, place in places.items() if job_id in place), "waiting")

    # --- what the scripts share

    def _paused_or_maxed(self) -> bool:
        return self.paused or len(self.active) >= self.meta.get("concurrency", len(self.active) + 1)

    def _promote(self, closed: bool) -> None:
        due = sorted((score, job_id) for job_id, score in self.delayed.items() if score >> 12 <= self.clock.now)
        for _, job_id in due:
            del self.delayed[job_id]
            job = self.jobs[job_id]
            if job.priority:
                self.prioritized[job_id] = self._priority_score(job.priority)
            else:
                self.wait.appendleft(job_id)
        if due and not closed:
            self.marker["0"] = 0

    def _next(self) -> str | None:
        if self.wait:
            return self.wait.pop()
        if not self.prioritized:
            self._priority_counter = 0
            return None
        job_id = min(self.prioritized, key=lambda known: (self.prioritized[known], known))
        del self.prioritized[job_id]
        return job_id

    def _enqueue(self, job: StoredJob, *, in_front: bool) -> None:
        if job.priority:
            self.prioritized[job.id] = self._priority_score(job.priority)
            self._mark_work()
        else:
            self._push(job.id, in_front=in_front)

    def _push(self, job_id: str, *, in_front: bool) -> None:
        if in_front:
            self.wait.append(job_id)
        else:
            self.wait.appendleft(job_id)
        self._mark_work()

    def _delay(self, job_id: str, delay_ms: int) -> None:
        due = self.clock.now + delay_ms
        same = [score for score in self.delayed.values() if score >> 12 == due]
        self.delayed[job_id] = min(max(same) + 1, (due + 1 << 12) - 1) if same else due << 12
        self._mark_next_delayed()

    def _mark_work(self) -> None:
        if not self._paused_or_maxed():
            self.marker["0"] = 0

    def _mark_next_delayed(self) -> None:
        if self.next_delayed_at is not None:
            self.marker["1"] = self.next_delayed_at

    def _priority_score(self, priority: int) -> int:
        self._priority_counter += 1
        return (priority << 32) + self._priority_counter

    def _release(self, job_id: str, token: str) -> bool:
        if job_id not in self.jobs or self.lock_of(job_id) != token:
            return False
        self.jobs[job_id].lock = ""
        self.stalled.discard(job_id)
        return True

    def _leave_active(self, job_id: str) -> bool:
        if job_id not in self.active:
            return False
        self.active.remove(job_id)
        return True


def _kept(remove: object) -> int | None:
    """How many ended jobs stay, by the option removeOnComplete or removeOnFail; None for all."""
    if isinstance(remove, bool):
        return 0 if remove else None
    if isinstance(remove, dict):
        return remove.get("count")
    return remove if isinstance(remove, int) else None
