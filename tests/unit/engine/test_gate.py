"""When the cluster is asked whether it takes a queue's runs, and what a refusal does."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

import pytest

from paperjobs.engine.decide import Admit, Wait
from paperjobs.engine.gate import CAREFUL_S, FIRST_PAUSE_S, LAST_PAUSE_S, Gate
from paperjobs.errors import ClusterUnavailable
from paperjobs.model import QueueSettings, RateLimit, RunnerTemplate
from support.memory_cluster import MemoryCluster

SETTINGS = QueueSettings(name="papers", queue="papers", pipeline="p", concurrency=2)
NOW = 1_000_000


@dataclass
class Bench:
    """A gate on a clock that stands still."""

    seconds: float = 0.0
    cluster: MemoryCluster = field(default_factory=MemoryCluster)
    gate: Gate = field(init=False)

    def __post_init__(self) -> None:
        self.gate = Gate(cluster=self.cluster, clock=lambda: self.seconds)

    def left(self) -> float | None:
        """Seconds until the next question; None while the gate is open."""
        wait = self.gate.wait(NOW)
        if wait is None:
            return None
        assert wait.until is not None
        return (wait.until - NOW) / 1000

    async def ask_when_due(self) -> float | None:
        self.seconds += self.left() or 0.0
        await self.gate.ask(SETTINGS)
        return self.left()


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_template_is_rehearsed_once_and_again_only_when_it_changes(bench: Bench) -> None:
    for settings in (
        SETTINGS,
        SETTINGS,
        replace(SETTINGS, concurrency=9, rate_limit=RateLimit(max=1, per_ms=1000), suspend=True),
    ):
        await bench.gate.ask(settings)
    assert (bench.cluster.rehearsals, bench.left()) == (1, None)
    await bench.gate.ask(replace(SETTINGS, template=RunnerTemplate(image="other:2")))
    assert bench.cluster.rehearsals == 2


async def test_a_refused_queue_is_asked_about_at_growing_intervals_and_says_why(bench: Bench) -> None:
    bench.cluster.refusal = "exceeded quota"
    await bench.gate.ask(SETTINGS)
    wait = bench.gate.wait(NOW)
    assert wait is not None
    assert (wait.reason, wait.message) == ("LaunchRefused", "exceeded quota")
    pauses = [bench.left(), *[await bench.ask_when_due() for _ in range(5)]]
    assert pauses == [5, 10, 20, 40, 60, 60]
    asked = bench.cluster.rehearsals
    bench.seconds += LAST_PAUSE_S - 1
    await bench.gate.ask(SETTINGS)
    assert bench.cluster.rehearsals == asked, "not before its time"


async def test_the_gate_opens_by_itself_when_the_cluster_accepts_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench.cluster.refusal = "exceeded quota"
    await bench.gate.ask(SETTINGS)
    await bench.ask_when_due()
    bench.cluster.refusal = None
    assert await bench.ask_when_due() is None
    actions = [getattr(record, "action", "") for record in caplog.records]
    assert actions == ["launch_refused", "launch_accepted"], "one line for each change of state"


async def test_a_mended_template_is_tried_at_once(bench: Bench) -> None:
    bench.cluster.refusal = "quantities must match"
    await bench.gate.ask(SETTINGS)
    bench.cluster.refusal = None
    await bench.gate.ask(replace(SETTINGS, template=RunnerTemplate(image="other:2")))
    assert bench.left() is None


async def test_what_only_a_real_launch_finds_is_tried_more_and_more_rarely(bench: Bench) -> None:
    await bench.gate.ask(SETTINGS)
    pauses = []
    for _ in range(3):
        assert not await bench.gate.refused(SETTINGS, "denied by a webhook")
        assert not await bench.gate.refused(SETTINGS, "denied by a webhook, side by side")
        pauses.append(bench.left())
        assert await bench.ask_when_due() is None
    assert pauses == [5, 10, 20]
    bench.gate.launched()
    await bench.gate.refused(SETTINGS, "denied by a webhook")
    assert bench.left() == FIRST_PAUSE_S


async def test_for_some_time_after_a_refusal_jobs_are_let_through_one_by_one_and_rehearsed_each(bench: Bench) -> None:
    await bench.gate.ask(SETTINGS)
    assert await bench.gate.let_through(SETTINGS, Admit(slots=9), NOW) == Admit(slots=9)
    bench.cluster.refusal = "exceeded quota"
    assert await bench.gate.refused(SETTINGS, "exceeded quota"), "a rehearsal says the same: it is not about one job"
    bench.cluster.refusal = None
    assert await bench.ask_when_due() is None
    asked = bench.cluster.rehearsals
    assert await bench.gate.let_through(SETTINGS, Admit(slots=9), NOW) == Admit(slots=1)
    assert bench.cluster.rehearsals == asked + 1
    bench.cluster.refusal = "exceeded quota"
    assert isinstance(await bench.gate.let_through(SETTINGS, Admit(slots=9), NOW), Wait)
    bench.cluster.refusal = None
    assert await bench.ask_when_due() is None
    bench.seconds += CAREFUL_S
    assert await bench.gate.let_through(SETTINGS, Admit(slots=9), NOW) == Admit(slots=9)


async def test_a_cluster_that_cannot_be_asked_has_said_nothing(bench: Bench) -> None:
    bench.cluster.broken = True
    with pytest.raises(ClusterUnavailable):
        await bench.gate.ask(SETTINGS)
    bench.cluster.broken = False
    bench.cluster.refusal = "exceeded quota"
    await bench.gate.ask(SETTINGS)
    assert bench.left() == FIRST_PAUSE_S
