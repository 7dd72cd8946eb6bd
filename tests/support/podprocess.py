"""A container on the test node: one process of this machine, with its own folder, log and termination message.

Unlike in a container it is not process 1, so SIGTERM ends it even when it has no handler for that.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from support.podstatus import MESSAGE_LIMIT, START_ERROR_EXIT_CODE, Ending
from support.tether import tethered

LOG_TAIL_BYTES: Final = 2048
"""Of the log, as termination message under FallbackToLogsOnError (a kubelet's limit)."""

MESSAGE_FILE: Final = "termination-log"


class PodProcess:
    """A started process; made by `start`."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process = process
        self._folder = folder

    @classmethod
    async def start(
        cls, command: Sequence[str], variables: Mapping[str, str], folder: Path, *, host_name: str, cwd: str | None
    ) -> PodProcess | Ending:
        """Start the command with these variables and what every image sets; the Ending when there is no such program.

        `folder` is made; it gets the log, and is the process's home unless `cwd` names another folder.
        """
        from_node = {"PAPERJOBS_TERMINATION_LOG": str(folder / MESSAGE_FILE)}
        complete = {**_make_home(folder, host_name), **variables, **from_node}
        program = shutil.which(command[0], path=complete["PATH"]) if command else None
        if program is None:
            message = f'exec: "{command[0] if command else ""}": executable file not found in $PATH'
            return Ending(exit_code=START_ERROR_EXIT_CODE, reason="StartError", message=message)
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *tethered([program, *command[1:]]),
                env=complete,
                cwd=cwd or folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return cls(process, folder)

    async def wait(self) -> None:
        """Return when the process has ended."""
        await self._process.wait()

    async def ask_to_leave(self, grace_seconds: float) -> None:
        """SIGTERM, and SIGKILL when the grace period is over."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), grace_seconds)
        self.kill()

    def kill(self) -> None:
        """SIGKILL for the process and what it started."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def ending(self, message_policy: str) -> Ending:
        """How it ended by itself, as a kubelet would report it."""
        code = self._process.returncode
        if code is None:
            raise RuntimeError("the process has not ended")
        exit_code = code if code >= 0 else 128 - code
        said = self._folder / MESSAGE_FILE
        message = said.read_bytes()[:MESSAGE_LIMIT] if said.exists() else b""
        if not message and exit_code != 0 and message_policy == "FallbackToLogsOnError":
            message = (self._folder / "log").read_bytes()[-LOG_TAIL_BYTES:]
        reason = "Completed" if exit_code == 0 else "Error"
        return Ending(exit_code=exit_code, reason=reason, message=message.decode(errors="replace"))


def _make_home(folder: Path, host_name: str) -> dict[str, str]:
    """Make the folder; returns the variables that an image or a container runtime would set."""
    folder.mkdir(parents=True)
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "HOSTNAME": host_name}
