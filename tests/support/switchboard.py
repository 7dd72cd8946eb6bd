"""A name that leads to another server after a failover, as ElastiCache's primary endpoint does.

Connections that exist stay where they are: it is for the client to notice that its server has lost its role.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass


@dataclass
class Switchboard:
    """Passes new connections to `target`, a port on loopback."""

    target: int
    port: int = 0
    connections: int = 0
    """Made since the start."""

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))
        finally:
            writer.close()
            far_writer.close()


@asynccontextmanager
async def switchboard(target: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Switchboard]:
    """A switchboard on loopback that leads to `target` first; with `tls` it speaks TLS to those who connect."""
    board = Switchboard(target=target)
    talking = set[asyncio.Task[None]]()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talking.add(task)
        try:
            await board.connect(reader, writer)
        except asyncio.CancelledError:
            pass  # The end of the test; asyncio would report it as an error of this callback.
        finally:
            talking.discard(task)

    server = await asyncio.start_server(connect, "127.0.0.1", 0, ssl=tls)
    board.port = server.sockets[0].getsockname()[1]
    try:
        yield board
    finally:
        server.close()
        for task in [*talking]:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
