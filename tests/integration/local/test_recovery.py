"""A session that was killed leaves nothing running, and the next one knows what became of its runs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from paperjobs.local.cluster import LocalCluster
from paperjobs.local.process import ProcessId
from paperjobs.local.records import Ending, RunRecord, RunRecords
from paperjobs.local.statedir import StateDir, StateDirInUse
from paperjobs.model import OutcomeKind
from support.local_runs import QUEUE, ended, exists, gone, job, program

MakeCluster = Callable[[], LocalCluster]

SESSION = """
import asyncio, json, sys
from pathlib import Path
from paperjobs.local.cluster import LocalCluster
from paperjobs.local.statedir import StateDir
from support.local_runs import QUEUE, job

async def main():
    root, program, order = sys.argv[1:]
    cluster = LocalCluster(state=StateDir.at(Path(root)), env={}, wake=print, command=(sys.executable, program))
    await cluster.launch(QUEUE, job(**json.loads(order)), "papers-a")
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_an_ended_run_is_remembered_until_it_is_removed(make_cluster: MakeCluster) -> None:
    first = make_cluster()
    await first.launch(QUEUE, job("7", message={"result": {"institutions": 4}}), "papers-a")
    before = await ended(first, "papers-a")

    second = make_cluster()
    assert second.recover() == 0

    assert list(second.runs(QUEUE)) == [before]
    await second.remove(QUEUE, "papers-a")
    third = make_cluster()
    third.recover()
    assert not third.runs(QUEUE)


async def test_what_the_first_tick_did_not_settle_of_an_earlier_session_is_forgotten(
    make_cluster: MakeCluster, state: StateDir
) -> None:
    RunRecords(state.runs).save(_record("papers-a", ending=Ending.EXITED))
    cluster = make_cluster()
    cluster.recover()
    await cluster.launch(QUEUE, job("2"), "papers-b")
    await ended(cluster, "papers-b")

    cluster.forget_earlier(replace(QUEUE, queue="others"))
    assert len(cluster.runs(QUEUE)) == 2
    cluster.forget_earlier(QUEUE)

    assert [run.name for run in cluster.runs(QUEUE)] == ["papers-b"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
async def test_the_kernel_ends_the_runs_of_a_killed_session(state: StateDir, tmp_path: Path) -> None:
    session = _session(state, tmp_path, sleep=60, onTerm="ignore", started=str(tmp_path / "up"))
    await exists(tmp_path / "up")
    run = RunRecords(state.runs).process("papers-a")
    assert run is not None
    assert run.alive

    session.kill()
    await asyncio.to_thread(session.wait)

    await gone(run.pid)


async def test_a_run_that_survived_its_session_is_ended_and_returned_to_its_queue(
    make_cluster: MakeCluster, state: StateDir, tmp_path: Path
) -> None:
    survivor = _sleeper()
    records = RunRecords(state.runs)
    records.save(_record("papers-a"))
    ProcessId.of(survivor.pid).save(records.pid_file("papers-a"))

    cluster = make_cluster()
    lost = await asyncio.to_thread(cluster.recover)

    assert lost == 1
    assert survivor.wait() == -signal.SIGKILL
    [run] = cluster.runs(QUEUE)
    assert run.outcome is not None
    assert run.outcome.kind is OutcomeKind.DISRUPTED


async def test_a_process_that_took_over_the_pid_of_a_lost_run_is_left_alone(
    make_cluster: MakeCluster, state: StateDir
) -> None:
    stranger = _sleeper()
    records = RunRecords(state.runs)
    records.save(_record("papers-a"))
    ProcessId(pid=stranger.pid, started="an earlier boot 4711").save(records.pid_file("papers-a"))

    assert make_cluster().recover() == 1

    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


async def test_a_run_whose_process_never_came_to_be_is_returned_to_its_queue(
    make_cluster: MakeCluster, state: StateDir
) -> None:
    RunRecords(state.runs).save(_record("papers-a"))

    cluster = make_cluster()
    cluster.recover()

    [run] = cluster.runs(QUEUE)
    assert run.outcome is not None
    assert run.outcome.kind is OutcomeKind.DISRUPTED


def test_a_leash_whose_owner_is_dead_starts_nothing(tmp_path: Path) -> None:
    owner = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    command = [
        *(sys.executable, "-m", "paperjobs.local.leash", owner.stdout.strip(), str(tmp_path / "pid"), "9"),
        *(sys.executable, "-c", f"open({str(tmp_path / 'started')!r}, 'w')"),
    ]

    assert subprocess.run(command).returncode == 143
    assert not (tmp_path / "started").exists()


def test_a_record_reads_as_it_was_written(state: StateDir) -> None:
    record = _record("papers-a", ending=Ending.DEADLINE)
    records = RunRecords(state.runs)

    records.save(record)

    assert [asdict(found) for found in records.load()] == [asdict(record)]


def test_two_sessions_never_share_a_state_folder(state: StateDir) -> None:
    with state.locked(), pytest.raises(StateDirInUse, match="--state-dir"), StateDir.at(state.root).locked():
        pass
    with state.locked():
        pass


def test_only_the_newest_logs_are_kept(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paperjobs.local.statedir.KEEP_LOGS", 2)
    for age, name in enumerate(("new", "older", "oldest")):
        state.log(name).write_text(name)
        os.utime(state.log(name), (1_000_000 - age, 1_000_000 - age))

    state.prune_logs()

    assert sorted(log.name for log in state.logs.iterdir()) == ["new.log", "older.log"]


def _record(name: str, ending: Ending | None = None) -> RunRecord:
    return RunRecord(
        name=name, queue=QUEUE.key, job_id="1", claim=1, attempt=1, timeout_s=60, created_at=1, ending=ending
    )


def _sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)


def _session(state: StateDir, tmp_path: Path, **order: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", SESSION, str(state.root), str(program(tmp_path)), json.dumps(order)]
    tests = Path(__file__).parents[2]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(tests)})
