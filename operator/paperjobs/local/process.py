"""A process that can be told from a later one with the same pid, and its certain end.

Pids are reused: what a pid file names may be a browser by now. So a pid always travels with the instant at which the
process started, and with the boot it started in.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

END_WITHIN_S: Final = 5.0
"""How long a leftover may take to leave after SIGTERM before it is killed."""


@dataclass(frozen=True, kw_only=True)
class ProcessId:
    """One process of this machine's history. `started` is opaque: equal means the same process."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """The process that has `pid` now; raises ProcessLookupError when none has, or only its exit code is left."""
        return cls(pid=pid, started=_started(pid))

    @classmethod
    def load(cls, path: Path) -> ProcessId | None:
        """What `save` wrote; None when there is no such file."""
        try:
            pid, started = path.read_text().split(" ", 1)
        except (FileNotFoundError, ValueError):
            return None
        return cls(pid=int(pid), started=started)

    def save(self, path: Path) -> None:
        """Write it where the next session looks; never half."""
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.write_text(f"{self.pid} {self.started}")
        draft.replace(path)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        try:
            return _started(self.pid) == self.started
        except ProcessLookupError:
            return False

    def end(self, *, gently: bool) -> None:
        """End it with everything in its process group, and return when it is gone.

        `gently`: with SIGTERM first, so that it may save its data. The process must lead its group.
        """
        if gently and self._gone_after(signal.SIGTERM):
            return
        self._gone_after(signal.SIGKILL)

    def _gone_after(self, number: signal.Signals) -> bool:
        deadline = time.monotonic() + END_WITHIN_S
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
        while self.alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def _started(pid: int) -> str:
    if sys.platform == "linux":
        try:
            state, fields = _stat(pid)
        except FileNotFoundError:
            raise ProcessLookupError(pid) from None
        if state in "ZX":
            raise ProcessLookupError(pid)
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {fields[19]}"
    import subprocess

    listed = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    if len(listed) < 2 or listed[0].startswith("Z"):
        raise ProcessLookupError(pid)
    return listed[1].strip()


def _stat(pid: int) -> tuple[str, list[str]]:
    # The second field is the command's name in parentheses and may hold spaces and parentheses itself.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], fields
