"""Runs as local processes keep the contract of a Kubernetes Job."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paperjobs.errors import ClusterUnavailable, LaunchRefused
from paperjobs.local.cluster import LocalCluster
from paperjobs.local.statedir import StateDir
from paperjobs.model import OutcomeKind, RunPhase
from support.local_runs import QUEUE, Wakes, ended, exists, gone, job

MakeCluster = Callable[[], LocalCluster]


async def test_a_run_gets_its_assignment_and_gives_its_report_back(
    make_cluster: MakeCluster, wakes: Wakes, tmp_path: Path
) -> None:
    cluster = make_cluster()
    claimed = job("7", claim=3, attempts_made=1, env=str(tmp_path / "env"), message={"result": {"institutions": 4}})

    await cluster.launch(QUEUE, claimed, "papers-a")
    run = await ended(cluster, "papers-a")

    env = json.loads((tmp_path / "env").read_text())
    assert env["PAPERJOBS_RUN"] == "papers-a"
    assert (env["PAPERJOBS_CLAIM"], env["PAPERJOBS_ATTEMPT"]) == ("3", "2")
    assert (run.job_id, run.claim, run.attempt) == ("7", 3, 2)
    assert run.outcome is not None
    assert (run.outcome.kind, run.outcome.result) == (OutcomeKind.COMPLETED, {"institutions": 4})
    assert wakes.queues == [QUEUE.key]


async def test_a_payload_too_large_for_the_environment_is_left_out_and_the_shells_is_not_taken_for_it(
    make_cluster: MakeCluster, state: StateDir
) -> None:
    cluster = make_cluster()

    await cluster.launch(QUEUE, job(padding="x" * 40_000), "papers-a")
    await ended(cluster, "papers-a")

    assert state.log("papers-a").read_text() == "told to {'none': True}\n"


@pytest.mark.parametrize(
    ("order", "kind", "reason"),
    [
        ({"exit": 65, "message": {"errorType": "NotArxiv", "message": "m"}}, OutcomeKind.NEVER, "NotArxiv"),
        ({"exit": 69, "message": {"retryAfterMs": 500}}, OutcomeKind.RATE_LIMITED, "RateLimited"),
        ({"exit": 75}, OutcomeKind.FAILED, "TryAgain"),
        ({"exit": 1}, OutcomeKind.FAILED, "Crashed"),
        # Killed from outside, as when memory runs out.
        ({"signal": 9}, OutcomeKind.FAILED, "Crashed"),
        # Killed by the default action of SIGTERM: as good as exit code 143.
        ({"signal": 15}, OutcomeKind.DISRUPTED, "Interrupted"),
    ],
)
async def test_the_way_a_process_ends_becomes_the_outcome(
    make_cluster: MakeCluster, order: dict[str, Any], kind: OutcomeKind, reason: str
) -> None:
    cluster = make_cluster()

    await cluster.launch(QUEUE, job(**order), "papers-a")
    outcome = (await ended(cluster, "papers-a")).outcome

    assert outcome is not None
    assert (outcome.kind, outcome.reason) == (kind, reason)


async def test_a_run_that_outlives_its_deadline_is_ended_even_if_it_ignores_sigterm(
    make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paperjobs.local.cluster.GRACE_S", 0.5)
    cluster = make_cluster()

    await cluster.launch(replace(QUEUE, timeout_s=1), job(sleep=60, onTerm="ignore"), "papers-a")
    outcome = (await ended(cluster, "papers-a")).outcome

    assert outcome is not None
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "DeadlineExceeded")


async def test_a_run_that_was_done_at_its_deadline_is_completed(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()

    await cluster.launch(replace(QUEUE, timeout_s=1), job(sleep=60, onTerm="exit", termCode=0), "papers-a")
    outcome = (await ended(cluster, "papers-a")).outcome

    assert outcome is not None
    assert outcome.kind is OutcomeKind.COMPLETED


async def test_launching_a_run_twice_starts_one_process(make_cluster: MakeCluster, tmp_path: Path) -> None:
    cluster = make_cluster()
    claimed = job(started=str(tmp_path / "starts"))

    await cluster.launch(QUEUE, claimed, "papers-a")
    await cluster.launch(QUEUE, claimed, "papers-a")
    await ended(cluster, "papers-a")
    await cluster.launch(QUEUE, claimed, "papers-a")

    assert (tmp_path / "starts").read_text() == "x"
    assert len(cluster.runs(QUEUE)) == 1


async def test_a_live_run_that_is_removed_holds_its_slot_until_its_process_is_gone(
    make_cluster: MakeCluster, wakes: Wakes, tmp_path: Path
) -> None:
    cluster = make_cluster()
    await cluster.launch(QUEUE, job(sleep=60, child=str(tmp_path / "child")), "papers-a")
    await exists(tmp_path / "child")

    await cluster.remove(QUEUE, "papers-a")

    assert [run.phase for run in cluster.runs(QUEUE)] == [RunPhase.TERMINATING]
    await cluster.stop()
    assert not await cluster.run_exists(QUEUE, "papers-a")
    assert wakes.queues == [QUEUE.key]
    # What the run itself had started went with it.
    await gone(int((tmp_path / "child").read_text()))


async def test_removing_an_ended_run_or_none_forgets_it(make_cluster: MakeCluster, state: StateDir) -> None:
    cluster = make_cluster()
    await cluster.launch(QUEUE, job(), "papers-a")
    await ended(cluster, "papers-a")

    await cluster.remove(QUEUE, "papers-a")
    await cluster.remove(QUEUE, "papers-b")

    assert not cluster.runs(QUEUE)
    assert not list(state.runs.iterdir())


async def test_stopping_interrupts_what_runs_and_starts_nothing_more(make_cluster: MakeCluster, tmp_path: Path) -> None:
    cluster = make_cluster()
    await cluster.launch(QUEUE, job("1", sleep=60, started=str(tmp_path / "up")), "papers-a")
    await cluster.launch(QUEUE, job("2", sleep=60, onTerm="ignore", started=str(tmp_path / "up2")), "papers-b")
    await exists(tmp_path / "up")
    await exists(tmp_path / "up2")

    await cluster.stop(grace_s=0.3)

    kinds = {run.name: run.outcome.kind for run in cluster.runs(QUEUE) if run.outcome is not None}
    assert kinds == {"papers-a": OutcomeKind.DISRUPTED, "papers-b": OutcomeKind.FAILED}
    await cluster.launch(QUEUE, job("3", started=str(tmp_path / "up3")), "papers-c")
    run = await ended(cluster, "papers-c")
    assert run.outcome is not None
    assert run.outcome.kind is OutcomeKind.DISRUPTED
    assert not (tmp_path / "up3").exists()


async def test_a_process_that_cannot_be_started_leaves_no_record(
    make_cluster: MakeCluster, state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster()
    monkeypatch.setattr("paperjobs.local.leash.sys.executable", "/nowhere/python")

    with pytest.raises(ClusterUnavailable, match="No such file"):
        await cluster.launch(QUEUE, job(), "papers-a")

    assert not cluster.runs(QUEUE)
    assert not list(state.runs.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "with\0a NUL",
        "x" * 200_000,  # one variable may have 128 KiB
        "half of a pair: \ud83d",
    ],
    ids=["NUL", "too long", "lone surrogate"],
)
async def test_a_job_whose_name_no_process_can_be_given_is_refused_and_leaves_no_record(
    make_cluster: MakeCluster, state: StateDir, name: str
) -> None:
    cluster = make_cluster()

    with pytest.raises(LaunchRefused, match="the job's id or name cannot be passed to a process"):
        await cluster.launch(QUEUE, replace(job(), name=name), "papers-a")

    assert not cluster.runs(QUEUE)
    assert not list(state.runs.iterdir())


async def test_runs_belong_to_their_queue(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    await cluster.launch(QUEUE, job(), "papers-a")

    assert not cluster.runs(replace(QUEUE, queue="others"))
    assert await cluster.run_exists(QUEUE, "papers-a")


async def test_a_stopped_run_that_ignores_sigterm_counts_as_killed(make_cluster: MakeCluster, tmp_path: Path) -> None:
    cluster = make_cluster()
    await cluster.launch(QUEUE, job(sleep=60, started=str(tmp_path / "up")), "papers-a")
    await exists(tmp_path / "up")

    os.kill(int((tmp_path / "state/runs/papers-a.pid").read_text().split()[0]), signal.SIGKILL)

    outcome = (await ended(cluster, "papers-a")).outcome
    assert outcome is not None
    assert "SIGKILL" in outcome.message
