"""Runs a command and tells its time and peak memory. Linux only.

A program of its own (`followed` starts it): the kernel counts a process's peak from before its exec, so a command that
was started by a large process would seem as large. Standard library only, and small.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

LOOK_SECONDS: Final = 0.02
"""Between two looks; each takes less than a millisecond from the command's cores."""


@dataclass
class Usage:
    """Memory is resident MiB."""

    seconds: float = 0.0
    exit_code: int = 0
    largest: float = 0.0
    """Peak of the largest process, from the kernel (ru_maxrss): misses nothing."""
    itself: float = 0.0
    """Peak of the process itself, as last seen before its end."""
    child: float = 0.0
    """Peak of the largest process that it started, as last seen."""
    together: float = 0.0
    """Of all at one moment; pages that they share count for each."""


def followed(command: Sequence[str], environment: Mapping[str, str]) -> Usage:
    """Run a command to its end. Raises RuntimeError when it fails: its figures would mean nothing."""
    watcher = [sys.executable, "-I", "-S", __file__, *command]
    told = subprocess.run(watcher, env=dict(environment), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    usage = Usage(**json.loads(told.stdout))
    if usage.exit_code != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {usage.exit_code}, so its figures mean nothing")
    return usage


def _watch(command: Sequence[str]) -> Usage:
    usage, ended, begun = Usage(), threading.Event(), time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    looking = threading.Thread(target=_look, args=(process.pid, usage, ended))
    looking.start()
    _, status, resources = os.wait4(process.pid, 0)
    usage.seconds = time.monotonic() - begun
    ended.set()
    looking.join()
    usage.exit_code = process.returncode = os.waitstatus_to_exitcode(status)
    usage.largest = resources.ru_maxrss / 1024
    return usage


def _look(pid: int, usage: Usage, ended: threading.Event) -> None:
    while not ended.wait(LOOK_SECONDS):
        peak, now = _memory(pid)
        usage.itself = max(usage.itself, peak)
        for child in _descendants(pid):
            child_peak, child_now = _memory(child)
            usage.child = max(usage.child, child_peak)
            now += child_now
        usage.together = max(usage.together, now)


def _memory(pid: int) -> tuple[float, float]:
    """Peak and present MiB; zeros for a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmHWM", "VmRSS"))}
    return sizes.get("VmHWM", 0.0), sizes.get("VmRSS", 0.0)


def _descendants(pid: int) -> Iterator[int]:
    try:
        children = [
            int(child)
            for thread in os.listdir(f"/proc/{pid}/task")
            for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()
        ]
    except OSError:
        return
    for child in children:
        yield child
        yield from _descendants(child)


if __name__ == "__main__":
    print(json.dumps(asdict(_watch(sys.argv[1:]))))
