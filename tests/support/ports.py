"""Ports on loopback that are free now."""

from __future__ import annotations

import socket


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on, for a server that cannot choose one by itself.

    The kernel hands ephemeral ports out in a wide circle, so another process is unlikely to get the same one at once.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
