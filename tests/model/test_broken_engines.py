"""The schedules are worth something: an engine that breaks a promise is caught by them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from model.machine import Schedule
from model.world import Violation
from paperjobs.engine import admit, loop
from paperjobs.engine.decide import Snapshot
from paperjobs.engine.launch import CANCELLED
from paperjobs.engine.settle import Settler
from paperjobs.model import ActiveJob, Claim, QueueSettings, run_name
from support.memory_queue import MemoryJobQueue
from support.memory_starts import MemoryStarts

Break = Callable[[pytest.MonkeyPatch], None]


def _slots_are_locks(patch: pytest.MonkeyPatch) -> None:
    """Concurrency counts claims, as BullMQ does, and not the pods that outlive them."""

    def claims_only(snapshot: Snapshot) -> int:
        return len(snapshot.state.active)

    patch.setattr(loop, "occupied_slots", claims_only)


def _launches_again_without_a_start(patch: pytest.MonkeyPatch) -> None:
    """A claim that was left without a run is launched whatever the window says."""

    async def relaunch(self: Settler, settings: QueueSettings, active: ActiveJob, name: str) -> None:
        job = await self.queue.load(active.id, active.claim)
        if job is not None:
            await self.launcher.launch(settings, job, name)

    patch.setattr(Settler, "_relaunch", relaunch)


def _believes_its_cache(patch: pytest.MonkeyPatch) -> None:
    """A run that is not in the cache counts as cancelled; nobody is asked."""

    async def explain_absence(self: Settler, settings: QueueSettings, job: ActiveJob, name: str) -> None:
        await self.queue.finish(job.id, job.claim, CANCELLED)

    patch.setattr(Settler, "_explain_absence", explain_absence)


def _names_differ(patch: pytest.MonkeyPatch) -> None:
    """The first launch of a claim and its repetition do not agree on the run's name."""

    def another_name(settings: QueueSettings, job_id: str, claim: Claim) -> str:
        return f"{run_name(settings, job_id, claim)}-first"

    patch.setattr(admit, "run_name", another_name)


def _no_fence(patch: pytest.MonkeyPatch) -> None:
    """A leader that does not know yet that it no longer leads goes on claiming."""
    patch.setattr(MemoryStarts, "check_term", lambda self, installation, term: None)
    # BullMQ's own cap on the active list would hide it.
    patch.setattr(MemoryJobQueue, "mirror_limits", _mirrors_nothing)


async def _mirrors_nothing(*_: object) -> None:
    pass


@pytest.mark.parametrize(
    "broken", [_slots_are_locks, _launches_again_without_a_start, _believes_its_cache, _names_differ, _no_fence]
)
def test_an_engine_that_breaks_a_promise_is_caught(broken: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch)
    with pytest.raises(Violation):
        run_state_machine_as_test(
            Schedule,
            settings=settings(
                max_examples=1_000,
                stateful_step_count=30,
                phases=[Phase.generate],
                derandomize=True,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
