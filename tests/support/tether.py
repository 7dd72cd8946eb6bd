"""Processes that cannot outlive the tests, even when pytest is killed.

`tethered(command)` is the command to start instead: this file, run as a script, asks the kernel for SIGKILL on its
parent's death and then becomes the command. A `preexec_fn` would do the same, but is not safe beside threads.
The kernel counts the *thread* that started a process as its parent: start from a thread that lives long enough.
Other systems than Linux have no such request; there only an orderly end stops the processes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence


def tethered(command: Sequence[str], *, uid: int = -1, gid: int = -1) -> list[str]:
    """The command that runs `command` (an absolute path first) for as long as the calling process lives.

    With `uid` and `gid` it gives root's rights up for theirs.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(uid), str(gid), *command]


def _become(parent: int, uid: int, gid: int, command: Sequence[str]) -> None:
    libc = ctypes.CDLL(None)
    if gid != -1:
        os.setgroups([])
        os.setgid(gid)
    if uid != -1:
        os.setuid(uid)
    if sys.platform == "linux":  # after the change of user, which would take the request back
        pr_set_pdeathsig = 1
        libc.prctl(pr_set_pdeathsig, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:  # it died before the request was made
            sys.exit(1)
    os.execv(command[0], list(command))


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
