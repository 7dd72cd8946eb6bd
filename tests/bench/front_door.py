"""A TCP relay in front of a stand-in that notes when the first byte comes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class FrontDoor:
    """Made by `front_door`."""

    def __init__(self, target: str) -> None:
        self._target = (urlsplit(target).hostname, urlsplit(target).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._first: list[float] = []

    @property
    def url(self) -> str:
        """To be used in place of the stand-in's."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def clear(self) -> None:
        """Forget what came."""
        self._first.clear()

    def first_byte_at(self) -> float:
        """time.monotonic() of the first byte since `clear`; IndexError when none came."""
        return self._first[0]

    def serve(self) -> None:
        """Relay until `close`."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _relay(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            data = client.recv(65536)
            self._first.append(time.monotonic())
            server.sendall(data)
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def front_door(target: str) -> Iterator[FrontDoor]:
    """A relay to `target` (http://host:port)."""
    door = FrontDoor(target)
    thread = threading.Thread(target=door.serve, daemon=True)
    thread.start()
    try:
        yield door
    finally:
        door.close()
        thread.join()
