"""`paperjobs cancel` beside `paperjobs local`: the run's process is gone, the job failed, the slot free."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import redis.asyncio

from paperjobs.local.process import ProcessId
from paperjobs.local.statedir import StateDir
from support.local_command import clean_env, paperjobs, run_paperjobs
from support.local_runs import gone

QUEUE = "institution-extraction"


def _enqueue(state: Path, paper: str, *more: str) -> str:
    url = f"https://arxiv.org/abs/{paper}"
    done = run_paperjobs(
        ["enqueue", QUEUE, "--state-dir", str(state), "--paper-id", paper, "--arxiv-url", url, *more], env=clean_env()
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def test_jobs_that_run_or_wait_are_cancelled_and_the_session_goes_on(tmp_path: Path) -> None:
    with paperjobs("local", "--state-dir", str(tmp_path), "--port", "0") as local:
        local.wait_for("serving institution-extraction")
        running = _enqueue(tmp_path, "1706.03762")
        local.wait_for("started")
        [run] = [ProcessId.load(file) for file in (tmp_path / "runs").glob("*.pid")]
        assert run is not None
        os.kill(run.pid, signal.SIGSTOP)  # Whatever the machine's speed, it has not ended when it is cancelled.
        delayed = _enqueue(tmp_path, "1512.03385", "--delay", "3600")

        # A stopped process cannot leave when it is asked to: it is killed when its grace is over.
        ended = await asyncio.to_thread(
            run_paperjobs,
            ["cancel", QUEUE, running, delayed, "--wait", "--timeout", "60", "--state-dir", str(tmp_path)],
            env=clean_env(),
            seconds=90,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr + local.output
        assert sorted(ended.stdout.splitlines()[2:]) == sorted(f"job {job} is cancelled" for job in (running, delayed))
        await gone(run.pid)
        local.wait_for("cancelled: by `paperjobs cancel`", times=2)

        third = _enqueue(tmp_path, "1412.6980")
        local.wait_for("completed in", seconds=120)
        session = StateDir(tmp_path).session()
        assert session is not None
        host, port = session.redis_host, session.redis_port
        async with redis.asyncio.Redis(host=host, port=port, decode_responses=True) as client:
            assert await client.zrange(f"bull:{QUEUE}:completed", 0, -1) == [third]
            failed = await client.zrange(f"bull:{QUEUE}:failed", 0, -1)
            assert sorted(map(str, failed)) == sorted([running, delayed])
        local.interrupt()
        assert await asyncio.to_thread(local.ended) == 0, local.output
