"""`paperjobs local` stopped or killed in the middle of its work: the next start ends every job, each exactly once."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis.asyncio

from paperjobs.local.process import ProcessId
from paperjobs.local.statedir import StateDir
from paperjobs_runner.store.read import read_results
from support.local_command import Command, clean_env, paperjobs, run_paperjobs
from support.local_runs import gone

QUEUE = "institution-extraction"
PAPERS = ("1706.03762", "1512.03385", "1412.6980")


def _start(state: Path) -> tuple[str, ...]:
    return ("local", "--state-dir", str(state), "--port", "0")


def _enqueue(state: Path, papers: tuple[str, ...] = PAPERS) -> list[str]:
    ids: list[str] = []
    for paper in papers:
        url = f"https://arxiv.org/abs/{paper}"
        arguments = ["enqueue", QUEUE, "--state-dir", str(state), "--paper-id", paper, "--arxiv-url", url]
        done = run_paperjobs(arguments)
        assert done.returncode == 0, done.stderr
        ids.append(done.stdout.strip())
    return ids


async def _ends(state: Path) -> list[tuple[str, str]]:
    """(job id, completed or failed) for every end that BullMQ's event stream knows of."""
    session = StateDir(state).session()
    assert session is not None
    async with redis.asyncio.Redis(host=session.redis_host, port=session.redis_port, decode_responses=True) as client:
        events: list[tuple[str, dict[str, str]]] = await client.xrange(f"bull:{QUEUE}:events")  # type: ignore[assignment]
    return sorted((event["jobId"], event["event"]) for _, event in events if event["event"] in ("completed", "failed"))


def _live_runs(state: Path) -> list[ProcessId]:
    ids = [ProcessId.load(file) for file in (state / "runs").glob("*.pid")]
    return [process for process in ids if process is not None and process.alive]


async def _end_all(state: Path, jobs: list[str]) -> list[tuple[str, str]]:
    with paperjobs(*_start(state)) as local:
        await asyncio.to_thread(local.wait_for, "completed in", times=len(jobs) - _completed(state), seconds=120)
        ends = await _ends(state)
        local.interrupt()
        assert await asyncio.to_thread(local.ended) == 0, local.output
    return ends


def _completed(state: Path) -> int:
    """Papers that an earlier session finished."""
    return sum(paper.written_at is not None for paper in read_results(f"sqlite:///{state / 'paperjobs.db'}"))


async def test_ctrl_c_gives_running_jobs_back_and_the_next_start_ends_them(tmp_path: Path) -> None:
    with paperjobs(*_start(tmp_path)) as local:
        local.wait_for("serving institution-extraction")
        jobs = _enqueue(tmp_path)
        local.wait_for("started", times=2)
        asked = time.monotonic()
        local.interrupt()
        assert local.ended() == 0, local.output
        assert time.monotonic() - asked < 12
        assert "no attempt lost" in local.output
        assert not _live_runs(tmp_path)

    assert await _end_all(tmp_path, jobs) == [(job, "completed") for job in sorted(jobs)]
    assert _completed(tmp_path) == len(PAPERS)


@pytest.mark.parametrize(
    "moment",
    [
        # The first job is claimed, its process has hardly begun.
        lambda local: local.wait_for("started"),
        # One is done and settled, others run.
        lambda local: local.wait_for("completed in", seconds=120),
    ],
    ids=["when the first run starts", "when the first run has ended"],
)
async def test_kill_minus_9_leaves_nothing_running_and_the_next_start_ends_every_job_once(
    tmp_path: Path, moment: Callable[[Command], None]
) -> None:
    with paperjobs(*_start(tmp_path)) as local:
        local.wait_for("serving institution-extraction")
        jobs = _enqueue(tmp_path)
        moment(local)
        runs = _live_runs(tmp_path)
        local.interrupt(signal.SIGKILL)
        assert local.ended() == -signal.SIGKILL
        for run in runs:
            await gone(run.pid)

    before = _completed(tmp_path)
    with paperjobs(*_start(tmp_path)) as local:
        await asyncio.to_thread(_wait_until_all_are_stored, tmp_path, local)
        local.wait_for("completed in", times=len(PAPERS) - before)
        ends = await _ends(tmp_path)
        local.interrupt()
        assert local.ended() == 0, local.output

    assert ends == [(job, "completed") for job in sorted(jobs)]


def _wait_until_all_are_stored(state: Path, local: Command) -> None:
    deadline = time.monotonic() + 120
    while _completed(state) < len(PAPERS):
        assert time.monotonic() < deadline, local.output
        time.sleep(0.2)


async def test_a_second_ctrl_c_does_not_wait_and_leaves_nothing_running(tmp_path: Path) -> None:
    with paperjobs(*_start(tmp_path)) as local:
        local.wait_for("serving institution-extraction")
        _enqueue(tmp_path, PAPERS[:1])
        local.wait_for("started")
        [run] = _live_runs(tmp_path)
        # A run that does not listen: without the second signal this would take the whole grace.
        os.kill(run.pid, signal.SIGSTOP)
        local.interrupt()
        local.wait_for("stopping")
        asked = time.monotonic()
        local.interrupt()
        assert local.ended() == 130, local.output
        assert time.monotonic() - asked < 4
        await gone(run.pid)


def test_a_second_session_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with paperjobs(*_start(tmp_path)) as local:
        local.wait_for("serving institution-extraction")
        second = run_paperjobs(_start(tmp_path))
        local.interrupt(signal.SIGTERM)
        assert local.ended() == 0, local.output

    assert second.returncode == 1
    assert "--state-dir" in second.stderr


def test_wrong_settings_are_listed_before_anything_is_served(tmp_path: Path) -> None:
    env = clean_env(REDIS_HOST="redis://u:hunter2@host", REDIS_PORT="hunter2", REDIS_TLS="perhaps")

    refused = run_paperjobs(_start(tmp_path), env=env)

    assert refused.returncode == 2, refused.stderr
    assert all(name in refused.stderr for name in ("REDIS_HOST", "REDIS_PORT", "REDIS_TLS"))
    assert "hunter2" not in refused.stderr + refused.stdout


def test_a_job_that_can_never_succeed_fails_after_one_attempt_with_words_for_a_web_developer(tmp_path: Path) -> None:
    with paperjobs(*_start(tmp_path)) as local:
        local.wait_for("serving institution-extraction")
        url = "https://arxiv.org.evil.example/abs/1706.03762"
        arguments = ["enqueue", QUEUE, "--state-dir", str(tmp_path), "--paper-id", "p", "--arxiv-url", url, "--wait"]
        refused = run_paperjobs(arguments)
        local.interrupt()
        assert local.ended() == 0, local.output

    assert refused.returncode == 1
    assert "failed after 1 attempt:" in refused.stderr
    assert "arxiv" in refused.stderr.lower()
    assert "Traceback" not in local.output


def test_reload_starts_again_when_the_code_changes_and_stops_in_order(tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    with paperjobs(*_start(tmp_path), "--reload") as local:
        local.wait_for("serving institution-extraction")
        _touch_the_code()
        local.wait_for("the code changed")
        local.wait_for("serving institution-extraction", times=2)
        local.interrupt()
        assert local.ended() == 0, local.output


def _touch_the_code() -> None:
    Path(__file__, "../../../operator/paperjobs/__init__.py").resolve().touch()
