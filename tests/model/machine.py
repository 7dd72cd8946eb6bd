"""The schedules: a producer, people, nodes, clocks, faults and other leaders against the engine, in any order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from model.crossing import Fate
from model.world import DONE, World
from paperjobs.model import Outcome, OutcomeKind, QueueSettings, RateLimit

RECOVERY_MS: Final = 3_600_000
"""Once nothing goes wrong any more, this is time enough for everything to end: the longest lock, hold and backoff are
minutes."""

OUTCOMES: Final = (
    DONE,
    Outcome(kind=OutcomeKind.FAILED, reason="Error", message="arXiv answered 500"),
    Outcome(kind=OutcomeKind.NEVER, reason="BadPayload", message="no such paper"),
    Outcome(kind=OutcomeKind.RATE_LIMITED, reason="RateLimited", message="wait", retry_after_ms=4_000),
    Outcome(kind=OutcomeKind.DISRUPTED, reason="Interrupted", message="asked to leave"),
)

FATES: Final = (
    *[Fate.ANSWERED] * 10,
    *[Fate.EFFECT_ONLY] * 2,
    *[Fate.REFUSED] * 1,
    *[Fate.LOST] * 2,
    *[Fate.LATE] * 1,
)

which = st.integers(0, 7)
"""One of those that there are, by number."""
limits = st.one_of(st.none(), st.builds(RateLimit, max=st.integers(1, 3), per_ms=st.sampled_from([1_000, 6_000])))
options = st.fixed_dictionaries(
    {"attempts": st.integers(0, 3)},
    optional={
        "backoff": st.sampled_from([200, {"type": "exponential", "delay": 500}]),
        "priority": st.integers(1, 2),
        "delay": st.sampled_from([300, 4_000]),
        "removeOnComplete": st.just(True),
    },
)
pauses = st.sampled_from([1, 20, 400, 1_500, 6_001, 12_000, 40_000, 200_000])


class Schedule(RuleBasedStateMachine):
    """One schedule. Whatever it does, the ledger must show no violation, and in the end everything has ended."""

    world: World

    @initialize(concurrency=st.integers(1, 3), limit=limits, jobs=st.integers(1, 4))
    def begin(self, concurrency: int, limit: RateLimit | None, jobs: int) -> None:
        settings = QueueSettings(
            name="papers",
            queue="papers",
            pipeline="institution-extraction",
            concurrency=concurrency,
            rate_limit=limit,
            timeout_s=60,
            start_timeout_s=60,
            attempts=2,
            keep_completed=2,
            keep_failed=2,
        )
        self.world = World(settings)
        for _ in range(jobs):
            self.world.bullmq.add("paper", "{}", {"attempts": 1})
        self.world.start_process()

    # --- the engine's requests

    @rule(steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, len(FATES) - 1)), min_size=1, max_size=12))
    def requests_meet_their_fates(self, steps: list[tuple[int, int]]) -> None:
        self._log("requests")
        for number, fate in steps:
            waiting = self.world.traffic.waiting
            if waiting:
                self.world.decide(waiting[number % len(waiting)], FATES[fate])

    @rule(count=st.integers(1, 40))
    def requests_are_answered(self, count: int) -> None:
        self._log("answers")
        for _ in range(count):
            if not self.world.traffic.waiting:
                break
            self.world.decide(self.world.traffic.waiting[0], Fate.ANSWERED)

    @precondition(lambda self: bool(self.world.traffic.adrift))
    @rule(number=which)
    def late_request_takes_effect(self, number: int) -> None:
        self._log("late")
        adrift = self.world.traffic.adrift
        self.world.land(adrift[number % len(adrift)])

    @rule(number=which, count=st.integers(1, 6), runs=st.booleans())
    def cache_catches_up(self, number: int, count: int, runs: bool) -> None:
        if self.world.processes:
            view = self.world.processes[number % len(self.world.processes)].view
            if runs:
                view.see_runs(count)
            else:
                view.see_paperjobs(count)
            self.world.run_ready()

    @rule(ms=st.sampled_from([500, 3_000, 20_000]))
    def all_goes_well_for_a_while(self, ms: int) -> None:
        self._log(f"calm {ms}")
        self.world.calm(ms)

    @rule(ms=pauses)
    def time_passes(self, ms: int) -> None:
        self._log(f"time {ms}")
        self.world.pass_time(ms)

    # --- operator processes

    @precondition(lambda self: bool(self.world.processes))
    @rule(number=which)
    def process_dies(self, number: int) -> None:
        self.world.kill(self.world.processes[number % len(self.world.processes)])

    @precondition(lambda self: len(self.world.processes) < 2)
    @rule()
    def process_takes_over(self) -> None:
        self.world.start_process()

    # --- the web app and people

    @rule(opts=options)
    def app_adds_a_job(self, opts: dict[str, Any]) -> None:
        job_id = self.world.bullmq.add("paper", "{}", opts)
        self._log(f"job {job_id}: {opts}")
        self.world.run_ready()

    @rule()
    def person_makes_a_paperjob(self) -> None:
        self._log(f"PaperJob {self.world.truth.make_paperjob('{}')}")

    @precondition(lambda self: bool(self.world.truth.paperjobs))
    @rule(number=which)
    def person_deletes_a_paperjob(self, number: int) -> None:
        names = list(self.world.truth.paperjobs)
        name = names[number % len(names)]
        self._log(f"delete PaperJob {name}")
        self.world.cancel(name)

    @rule()
    def garbage_is_collected(self) -> None:
        self.world.truth.collect_garbage()

    @rule(concurrency=st.integers(0, 3), limit=limits, suspend=st.booleans())
    def person_edits_the_limits(self, concurrency: int, limit: RateLimit | None, suspend: bool) -> None:
        self._log(f"limits {concurrency}, {limit}, suspend {suspend}")
        self.world.configure(replace(self.world.settings, concurrency=concurrency, rate_limit=limit, suspend=suspend))

    @rule()
    def app_pauses_or_resumes(self) -> None:
        bullmq = self.world.bullmq
        self._log("resume" if bullmq.paused else "pause")
        (bullmq.resume if bullmq.paused else bullmq.pause)()
        self.world.run_ready()

    # --- runs

    @precondition(lambda self: bool(self.world.truth.live))
    @rule(number=which, outcome=st.sampled_from(OUTCOMES))
    def run_ends(self, number: int, outcome: Outcome) -> None:
        self._log(f"run {self._live(number)} ends: {outcome.reason}")
        self.world.end_run(self._live(number), outcome)

    @precondition(lambda self: bool(self.world.truth.live))
    @rule(number=which)
    def run_starts(self, number: int) -> None:
        self.world.truth.start_pod(self._live(number))

    @precondition(lambda self: bool(self.world.truth.live))
    @rule(number=which)
    def pod_is_evicted(self, number: int) -> None:
        self._log(f"pod of {self._live(number)} evicted")
        self.world.delete_pod(self._live(number))

    @precondition(lambda self: bool(self.world.truth.runs))
    @rule(number=which)
    def person_deletes_a_run(self, number: int) -> None:
        names = list(self.world.truth.runs)
        self._log(f"delete Job {names[number % len(names)]}")
        self.world.delete_run(names[number % len(names)])

    @rule()
    def cluster_refuses_or_takes_runs(self) -> None:
        self.world.refuse(not self.world.truth.refusing)

    # --- Redis

    @precondition(lambda self: bool(self.world.bullmq.active))
    @rule(number=which)
    def lock_is_lost(self, number: int) -> None:
        active = self.world.bullmq.active
        job_id = active[number % len(active)]
        self._log(f"lock of {job_id} lost")
        self.world.bullmq.jobs[job_id].lock = ""

    @precondition(lambda self: bool(self.world.bullmq.active))
    @rule(number=which)
    def stock_worker_returns_a_stalled_job(self, number: int) -> None:
        """The lock is lost, and nobody of ours acts for as long as a stock worker's stalled check needs."""
        self._log("stalled check")
        self.lock_is_lost(number)
        self.world.stalled_check()

    @rule()
    def foreign_worker_claims(self) -> None:
        self._log("foreign claim")
        self.world.foreign_claim()

    @precondition(lambda self: bool(self.world.foreign_active()))
    @rule(number=which)
    def foreign_worker_finishes(self, number: int) -> None:
        active = self.world.foreign_active()
        self.world.foreign_finish(active[number % len(active)])

    # --- what must hold

    @invariant()
    def nothing_is_violated(self) -> None:
        world = getattr(self, "world", None)
        if world is not None:
            world.check()

    def teardown(self) -> None:
        world = getattr(self, "world", None)
        if world is None:
            return
        try:
            world.recover(RECOVERY_MS)
        finally:
            world.close()

    def _live(self, number: int) -> str:
        live = self.world.truth.live
        return live[number % len(live)]

    def _log(self, what: str) -> None:
        self.world.traffic.log.append(f"  {what}")
