"""`python -m paperjobs_standins` as a process of its own."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "paperjobs_standins", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_tells_its_variables_serves_and_ends_cleanly(number: signal.Signals) -> None:
    with command("--service", "arxiv", "--service", "anthropic") as process:
        assert process.stdout
        env = json.loads(process.stdout.readline())
        assert {"ARXIV_API_URL", "ANTHROPIC_API_KEY"} <= set(env)
        assert "ADOBE_CLIENT_ID" not in env
        assert "Attention" in httpx2.get(env["ARXIV_API_URL"], params={"id_list": "1706.03762"}).text
        process.send_signal(number)
        assert process.wait(60) == 0
        assert process.stderr
        assert process.stderr.read() == ""


def test_a_taken_port_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with command("--service", "arxiv", "--port-base", str(port)) as process:
            assert process.wait(60) == 1
            assert process.stderr
            assert process.stderr.read().startswith("cannot listen on 127.0.0.1: ")
