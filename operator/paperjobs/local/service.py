"""A server that a local session starts for itself: on a leash, ended with the session, its end noticed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from paperjobs.errors import PaperJobsError
from paperjobs.local.leash import leashed
from paperjobs.local.process import END_WITHIN_S, ProcessId
from paperjobs.local.statedir import StateDir

LAST_LINES = 5
"""Lines of a service's log that its error shows."""


class ServiceFailed(PaperJobsError):
    """A server that the local session needs did not start, or ended."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running server. `name` is what people call it."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    async def ended(self) -> ServiceFailed:
        """Wait for the server to end by itself, and say so."""
        await self.process.wait()
        return self.failure("ended unexpectedly")

    def failure(self, what: str) -> ServiceFailed:
        """An error that shows the end of the server's log."""
        lines = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return ServiceFailed("\n  ".join([f"{self.name} {what}; its log ({self.log}) ends with:", *lines]))


@asynccontextmanager
async def running(
    state: StateDir, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None
) -> AsyncIterator[Service]:
    """Run a server for as long as the context lasts; one that an earlier session left behind is ended first.

    Whether it is ready is for the caller to find out. Its output goes to logs/NAME.log.
    """
    pid_file = state.root / f"{name}.pid"
    log = state.logs / f"{name}.log"
    leftover = ProcessId.load(pid_file)
    if leftover is not None:
        await asyncio.to_thread(leftover.end, gently=True)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *leashed(command, pid_file=pid_file, signal_on_death=signal.SIGTERM),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
    try:
        yield Service(name=name, process=process, log=log)
    finally:
        await _end(process)
        pid_file.unlink(missing_ok=True)


async def _end(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), END_WITHIN_S)
