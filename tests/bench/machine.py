"""How busy the machine was meanwhile: without that, no figure can be compared with another run's."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


def busy_seconds() -> float:
    """CPU time that everything on the machine has used since it was started, all cores added."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(map(int, (user, nice, system, irq, softirq))) / TICKS


@dataclass(frozen=True)
class MachineLoad:
    """The machine's state when it was made; `since` compares it with now. Linux only, as /proc is."""

    busy: float = field(default_factory=busy_seconds)
    at: float = field(default_factory=time.monotonic)
    load: tuple[float, ...] = field(default_factory=os.getloadavg)

    def since(self) -> dict[str, Any]:
        """Cores in use on average since then, by everything on the machine, and the load then and now."""
        return {
            "cores": os.cpu_count(),
            "coresBusy": round((busy_seconds() - self.busy) / (time.monotonic() - self.at), 2),
            "loadBefore": [round(one, 2) for one in self.load],
            "loadAfter": [round(one, 2) for one in os.getloadavg()],
            "python": platform.python_version(),
        }


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = fields[11:13]
    return (int(user) + int(system)) / TICKS


def resident_memory(pid: int) -> float:
    """What a process has in memory now, in KB of 1,000 bytes."""
    return _memory(pid, "VmRSS")


def peak_memory(pid: int) -> float:
    """What a process has had in memory at most, in KB of 1,000 bytes."""
    return _memory(pid, "VmHWM")


def _memory(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kibibytes = next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(kibibytes) * 1.024
