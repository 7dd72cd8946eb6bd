"""The queue in memory and the real one do the same things in the same order, and give the same answers at every step.

Nothing here becomes due while a sequence lasts: all delays, windows and locks are a minute or longer. What time does is
in test_job_queue.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from integration.conformance.sides import MemorySide, Side, ValkeySide
from paperjobs.errors import NoLongerLeading
from paperjobs.model import (
    Claim,
    EnqueueOptions,
    Job,
    JobState,
    Outcome,
    OutcomeKind,
    QueueState,
    RateLimit,
    WindowFull,
)
from paperjobs.ports import JobQueue

MINUTE_MS: Final = 60_000
LIMITS: Final = (None, RateLimit(max=2, per_ms=MINUTE_MS), RateLimit(max=4, per_ms=2 * MINUTE_MS))
OUTCOMES: Final = tuple(
    Outcome(kind=kind, reason="Reason", message="why", result={"n": 1} if kind is OutcomeKind.COMPLETED else None)
    for kind in OutcomeKind
)

numbers = st.integers(0, 5)
options = st.fixed_dictionaries(
    {},
    optional={
        "attempts": st.integers(1, 3),
        "backoff": st.sampled_from([MINUTE_MS, {"type": "exponential", "delay": MINUTE_MS}]),
        "priority": st.integers(1, 2),
        "delay": st.just(MINUTE_MS),
        "lifo": st.just(True),
        "removeOnComplete": st.sampled_from([True, False, 1]),
        "removeOnFail": st.sampled_from([True, {"count": 1}]),
    },
)
common = st.one_of(
    st.tuples(st.just("add"), options),
    st.tuples(st.just("claim"), st.sampled_from(LIMITS), st.just(1)),
    st.tuples(st.just("finish"), numbers, st.sampled_from(OUTCOMES)),
    st.tuples(st.just("foreign_claim")),
    st.tuples(st.just("lose_lock"), numbers),
    st.tuples(st.just("record_launch"), numbers),
)
rare = st.one_of(
    st.tuples(st.just("claim"), st.sampled_from(LIMITS), st.just(0)),
    st.tuples(st.just("relock"), numbers),
    st.tuples(st.just("load"), numbers),
    st.tuples(st.just("reserve"), numbers, st.sampled_from(LIMITS)),
    st.tuples(st.just("unreserve"), numbers),
    st.tuples(st.just("mirror"), st.integers(1, 3), st.sampled_from(LIMITS)),
    st.tuples(st.just("enqueue"), numbers),
    st.tuples(st.just("return_abandoned")),
    st.tuples(st.just("pause")),
    st.tuples(st.just("resume")),
    st.tuples(st.just("remove"), numbers),
    st.tuples(st.just("foreign_finish"), numbers),
    st.tuples(st.just("set_global_concurrency"), st.integers(1, 3)),
    st.tuples(st.just("hold")),
)
steps = st.one_of(common, common, common, rare)
sequences = st.builds(
    lambda first, then: [("add", opts) for opts in first] + then,
    st.lists(options, min_size=2, max_size=5),
    st.lists(steps, min_size=8, max_size=25),
)


@dataclass
class Player:
    """Plays the steps of a sequence on one side."""

    side: Side
    replicas: list[JobQueue] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    claims: list[tuple[str, Claim]] = field(default_factory=list)
    foreign: list[tuple[str, str]] = field(default_factory=list)
    steps: int = 0

    def __post_init__(self) -> None:
        self.replicas = [self.side.replica(term=term) for term in (0, 1)]

    async def play(self, what: str, *values: Any) -> object:
        """One step; its answer."""
        self.steps += 1
        step: Callable[..., Awaitable[object]] = getattr(self, f"_{what}")
        return await step(*values)

    async def picture(self) -> tuple[QueueState, dict[str, JobState]]:
        """All that can be seen, without instants: the two clocks are not the same."""
        state = await self.replicas[1].observe(LIMITS[1])
        states = await self.replicas[1].states(self.jobs)
        return _timeless(state), {job_id: _timeless_job(state) for job_id, state in states.items()}

    @property
    def _queue(self) -> JobQueue:
        return self.replicas[1]

    async def _add(self, opts: dict[str, Any]) -> object:
        self.jobs.append(await self.side.add(**opts))
        return self.jobs[-1]

    async def _claim(self, limit: RateLimit | None, term: int) -> object:
        token = f"paperjobs:test:{self.steps}"
        try:
            claimed = await self.replicas[term].claim(token, MINUTE_MS, limit)
        except NoLongerLeading:
            return "fenced"
        if isinstance(claimed, WindowFull):
            return "full"
        if isinstance(claimed, Job):
            self.claims.append((claimed.id, claimed.claim))
        return claimed

    async def _finish(self, number: int, outcome: Outcome) -> object:
        return await self._of_claim(number, lambda job_id, claim: self._queue.finish(job_id, claim, outcome))

    async def _relock(self, number: int) -> object:
        return await self._of_claim(number, lambda job_id, claim: self._queue.relock(job_id, claim, MINUTE_MS))

    async def _record_launch(self, number: int) -> object:
        return await self._of_claim(number, self._queue.record_launch)

    async def _load(self, number: int) -> object:
        return await self._of_claim(number, self._queue.load)

    async def _reserve(self, number: int, limit: RateLimit | None) -> object:
        token = self.claims[number % len(self.claims)][1].token if self.claims else f"paperjobs:test:{number}"
        return await self._queue.reserve(token, limit) is None

    async def _unreserve(self, number: int) -> object:
        return await self._of_claim(number, lambda _, claim: self._queue.unreserve(claim.token))

    async def _mirror(self, concurrency: int, limit: RateLimit | None) -> None:
        await self._queue.mirror_limits(concurrency, limit)

    async def _enqueue(self, number: int) -> None:
        if f"pj-{number}" not in self.jobs:
            self.jobs.append(f"pj-{number}")
        await self._queue.enqueue(f"pj-{number}", "paper", "{}", EnqueueOptions())

    async def _return_abandoned(self) -> None:
        await self.side.make_stalled_check_due()
        await self._queue.return_abandoned()

    async def _hold(self) -> None:
        await self._queue.hold(MINUTE_MS)

    async def _pause(self) -> None:
        await self.side.pause()

    async def _resume(self) -> None:
        await self.side.resume()

    async def _remove(self, number: int) -> object:
        return bool(self.jobs) and await self.side.remove(self.jobs[number % len(self.jobs)])

    async def _lose_lock(self, number: int) -> None:
        active = [job.id for job in (await self._queue.observe(None)).active]
        if active:
            await self.side.lose_lock(active[number % len(active)])

    async def _foreign_claim(self) -> object:
        token = f"foreign-{self.steps}"
        job_id = await self.side.foreign_claim(token)
        if job_id is not None:
            self.foreign.append((job_id, token))
        return job_id

    async def _foreign_finish(self, number: int) -> None:
        if self.foreign:
            await self.side.foreign_finish(*self.foreign[number % len(self.foreign)])

    async def _set_global_concurrency(self, concurrency: int) -> None:
        await self.side.set_global_concurrency(concurrency)

    async def _of_claim(self, number: int, act: Callable[[str, Claim], Awaitable[object]]) -> object:
        return await act(*self.claims[number % len(self.claims)]) if self.claims else None


def _timeless(state: QueueState) -> QueueState:
    def known(instant: int | None) -> int | None:
        return None if instant is None else 0

    return replace(
        state,
        now=0,
        server="",
        next_delayed_at=known(state.next_delayed_at),
        window_opens_at=known(state.window_opens_at),
        held_until=known(state.held_until),
    )


def _timeless_job(state: JobState) -> JobState:
    return replace(
        state,
        finished_at=None if state.finished_at is None else 0,
        not_before=None if state.not_before is None else 0,
    )


# A failing sequence is short enough as it is: making it shorter takes minutes on a real Valkey.
@settings(max_examples=80, suppress_health_check=list(HealthCheck), derandomize=True, phases=[Phase.generate])
@given(sequence=sequences)
async def test_any_sequence_is_answered_alike(
    redis_client: Redis, valkey_port: int, sequence: list[tuple[Any, ...]]
) -> None:
    await redis_client.flushall()
    real = ValkeySide(redis_client, valkey_port)
    memory, valkey = Player(MemorySide()), Player(real)
    try:
        for step in sequence:
            assert await memory.play(*step) == await valkey.play(*step), step
            assert await memory.picture() == await valkey.picture(), step
    finally:
        await real.close()
