"""`--reload`: a session as a child that is started again whenever the code changes.

The child has a process group of its own, so that Ctrl-C reaches only this process, which asks the child to stop in
order; a leash ends it in order too when this process is killed.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from watchfiles import awatch

from paperjobs.local.leash import leashed
from paperjobs.local.signals import stop_signals
from paperjobs.local.statedir import StateDir

PACKAGES: Final = ("paperjobs", "paperjobs_runner", "paperjobs_standins")


async def run_reloading(
    state: StateDir, command: Sequence[str], say: Callable[[str], None], *, watched: Sequence[Path] | None = None
) -> int:
    """Run `command` until SIGINT or SIGTERM; returns 0. Its own end is waited out: the next change starts it again."""
    changes = asyncio.Event()
    watcher = asyncio.create_task(_watch(watched or _packages(), changes))
    try:
        with stop_signals() as stop:
            while not stop.is_set():
                changes.clear()
                child = await asyncio.create_subprocess_exec(
                    *leashed(command, pid_file=state.root / "reload.pid", signal_on_death=signal.SIGTERM),
                    start_new_session=True,
                )
                await _first(child.wait(), changes.wait(), stop.wait())
                if child.returncode is not None and not stop.is_set():
                    say(f"the session ended with exit code {child.returncode}; it starts again when the code changes")
                    await _first(changes.wait(), stop.wait())
                elif child.returncode is None:
                    if not stop.is_set():
                        say("the code changed: starting again")
                    child.terminate()
                    await child.wait()
    finally:
        watcher.cancel()
    return 0


async def _watch(folders: Sequence[Path], changes: asyncio.Event) -> None:
    async for _ in awatch(*folders):
        changes.set()


async def _first(*waits: object) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]  # type: ignore[call-overload]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _packages() -> list[Path]:
    specs = [find_spec(name) for name in PACKAGES]
    return [Path(folder) for spec in specs if spec for folder in spec.submodule_search_locations or ()]
