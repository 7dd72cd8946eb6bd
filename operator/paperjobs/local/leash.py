"""Starts a command that must not outlive the process that wants it: `python -m paperjobs.local.leash`.

    leash PARENT_PID PID_FILE SIGNAL COMMAND...

The order is what makes it tight. First the kernel is told to send SIGNAL when the parent dies (Linux only); then the
pid file is there for the next session to find; only then is the parent looked at, and the command takes the place of
this interpreter. Whenever the parent is killed, either the command never starts, or the pid file names it.
A module of its own, because nothing may run between fork and exec in a process that has threads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PARENT_GONE: Final = 143
"""Exit code when the parent was dead already; nobody is left to read it."""

_PR_SET_PDEATHSIG: Final = 1
"""From <linux/prctl.h>."""


def leashed(command: Sequence[str], *, pid_file: Path, signal_on_death: int) -> list[str]:
    """The argument list that runs `command` on a leash to the calling process."""
    # -P would hide an editable checkout started by path; -S would hide the packages: plain -m it is.
    return [
        *(sys.executable, "-m", "paperjobs.local.leash"),
        *(str(os.getpid()), str(pid_file), str(signal_on_death)),
        *command,
    ]


def main(argv: Sequence[str]) -> int:
    """Become the command; returns only when there is no parent to do so for."""
    parent, pid_file, signal_on_death, *command = argv
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal_on_death), 0, 0, 0)

    from paperjobs.local.process import ProcessId

    ProcessId.of(os.getpid()).save(Path(pid_file))
    if os.getppid() != int(parent):
        return PARENT_GONE
    os.execvp(command[0], command)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
