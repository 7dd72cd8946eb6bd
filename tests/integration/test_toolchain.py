"""The fixtures that other tests stand on: the services are the real ones, and every test starts from nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import redis.asyncio

from support.tools import ROOT, go, run_npm


async def test_the_redis_server_is_valkey_on_loopback_only(redis_client: redis.asyncio.Redis) -> None:
    info = await redis_client.info("server")
    assert info["server_name"] == "valkey"
    assert await redis_client.config_get("bind") == {"bind": "127.0.0.1"}


@pytest.mark.parametrize("turn", ["first", "second"])
async def test_every_test_finds_an_empty_redis(redis_client: redis.asyncio.Redis, turn: str) -> None:
    assert await redis_client.dbsize() == 0
    await redis_client.set("left behind", turn)


@pytest.mark.parametrize("turn", ["first", "second"])
def test_every_test_finds_an_empty_database(postgres_url: str, turn: str) -> None:
    assert postgres_url.startswith("postgresql://")
    with psycopg.connect(postgres_url) as connection:
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        assert connection.execute(tables).fetchone() == (0,)
        connection.execute("CREATE TABLE left_behind (turn text)")
        connection.execute("INSERT INTO left_behind VALUES (%s)", [turn])


def test_node_runs_the_web_app_s_bullmq(node: Path, webapp_dir: Path) -> None:
    script = "import('bullmq').then(m => console.log(JSON.stringify([process.versions.node, typeof m.Queue])))"
    answer = subprocess.run([node, "-e", script], cwd=webapp_dir, capture_output=True, text=True, check=True)
    version, queue = json.loads(answer.stdout)
    assert int(version.split(".")[0]) >= 20
    assert queue == "function"


def test_npm_runs(tmp_path: Path) -> None:
    assert run_npm(tmp_path, "--version")[0].isdigit()


def test_go_is_new_enough_for_the_control_plane() -> None:
    answer = subprocess.run([go(), "version"], capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("go version go1.")


def test_services_end_with_the_tests_even_when_these_are_killed(tmp_path: Path) -> None:
    script = (
        "import pathlib, subprocess, sys, time\n"
        "from support.tether import tethered\n"
        "child = subprocess.Popen(tethered(['/bin/sleep', '60']))\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    tests = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT / "tests", stdout=subprocess.PIPE, text=True)
    assert tests.stdout is not None
    with tests.stdout:
        service = int(tests.stdout.readline())
    _wait_until_it_sleeps(service)
    tests.send_signal(signal.SIGKILL)
    tests.wait()
    deadline = time.monotonic() + 5
    while _is_alive(service) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _is_alive(service)


def _wait_until_it_sleeps(pid: int) -> None:
    while not Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"/bin/sleep"):
        time.sleep(0.01)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
