"""Where the time between `queue.add` and the Job goes, seen from Redis (MONITOR) and from the API server (watches).

The operator's scripts come in a fixed order: observe, then claim.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import redis.asyncio

STEPS: Final = ("added in Redis", "observe", "claim", "PaperJob exists", "Job exists")
SCRIPT: Final = "EVALSHA"


@dataclass(frozen=True)
class Command:
    """A command that a client sent."""

    at: float
    """time.monotonic() of its arrival at the server."""
    name: str
    client: str
    text: str


@dataclass
class Stages:
    """Each step's time since queue.add was called, of several jobs."""

    rounds: list[dict[str, float]] = field(default_factory=list)

    def add(self, commands: Sequence[Command], *, called_at: float, paperjob_at: float, job_at: float) -> None:
        """Take one job's commands; one whose commands cannot be told apart is left out."""
        scripts = [one for one in commands if one.name == SCRIPT and one.at >= called_at]
        added = scripts[0]
        own = [one.at for one in scripts if one.client != added.client and one.at >= added.at]
        if len(own) < 2:
            return
        moments = [added.at, own[0], own[1], paperjob_at, job_at]
        self.rounds.append({step: at - called_at for step, at in zip(STEPS, moments, strict=True)})

    def medians_ms(self) -> dict[str, float]:
        """Milliseconds since queue.add."""
        return (
            {step: round(median(one[step] for one in self.rounds) * 1000, 2) for step in STEPS} if self.rounds else {}
        )


@dataclass
class CommandRecorder:
    """What clients sent to Redis; made by `stage_recorder`. What scripts do inside Redis is not kept."""

    commands: list[Command] = field(default_factory=list)

    def clear(self) -> None:
        """Forget everything."""
        self.commands.clear()


@asynccontextmanager
async def stage_recorder(port: int) -> AsyncIterator[CommandRecorder]:
    """Records while the context is open."""
    recorder = CommandRecorder()
    # Nothing may come for long: redis-py would take its default time-out for an error.
    connection = redis.asyncio.Redis(host="127.0.0.1", port=port, socket_timeout=None)
    async with connection as client, client.monitor() as monitor:
        wall = time.time() - time.monotonic()

        async def listen() -> None:
            async for seen in monitor.listen():
                if seen["client_type"] != "lua":
                    text = str(seen["command"])
                    client_name = f"{seen['client_address']}:{seen['client_port']}"
                    name = text.split(" ", 1)[0].upper()
                    recorder.commands.append(Command(seen["time"] - wall, name, client_name, text))

        task = asyncio.create_task(listen())
        try:
            yield recorder
        finally:
            if task.done():
                task.result()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
