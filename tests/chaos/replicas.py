"""The operators: always so many alive, most of them with a point at which they will kill themselves."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final

from support.crashing_operator import LEASE_SECONDS, POINTS, STRIKE, STRUCK
from support.operator_process import OperatorProcess, Start

LEASE: Final = "2"
"""Seconds until a silent leader is replaced: each kill costs this much of the storm's time."""

RARE: Final = ("hold", "load", "take-lease", "finish", "delete-paperjob")
"""Steps that come at most once or twice in a replica's short life: struck at the first time."""


class Replicas:
    """Keeps `wanted` operators alive."""

    def __init__(self, start: Start, rng: random.Random, folder: Path, wanted: int) -> None:
        self.killed: Final[Counter[str]] = Counter()
        """Kills by point; those at a random moment under "random"."""
        self.died: Final[list[str]] = []
        """Ends of operators that nobody killed."""
        self.leaders_killed = 0
        """How many of the killed had led; the others stood by, or had only just been started."""
        self.armed = True
        self._start = start
        self._rng = rng
        self._folder = folder
        self._wanted = wanted
        self._alive: list[tuple[OperatorProcess, Path]] = []
        self._started = 0

    async def keep(self) -> None:
        """Start what is missing, for ever."""
        while True:
            self._bury()
            while len(self._alive) < self._wanted:
                self._alive.append(self._one_more())
            await asyncio.sleep(0.05)

    async def leader(self, seconds: float) -> OperatorProcess | None:
        """The one that leads by its own log, as soon as there is one; a paused one is not looked at."""
        for _ in range(round(seconds / 0.05)):
            for replica, _ in self._alive:
                turns: list[str] = []
                with suppress(ValueError):  # its log ends within a line
                    turns = [action for action in replica.actions() if action in ("lead", "release")]
                if replica.process.poll() is None and turns and turns[-1] == "lead":
                    return replica
            await asyncio.sleep(0.05)
        return None

    def kill(self, replica: OperatorProcess) -> None:
        """kill -9, now."""
        replica.process.send_signal(signal.SIGKILL)

    def kill_all(self) -> None:
        """kill -9 for every replica: nobody stands by."""
        for replica, _ in self._alive:
            self.kill(replica)

    def disarm(self) -> None:
        """Replace every replica by one that does not kill itself."""
        self.armed = False
        self.kill_all()

    def _one_more(self) -> tuple[OperatorProcess, Path]:
        self._started += 1
        struck = self._folder / f"struck-{self._started}"
        variables = {LEASE_SECONDS: LEASE}
        if self.armed and self._rng.random() < 0.75:
            point = self._rng.choice(POINTS)
            times = 1 if point.partition(":")[2] in RARE else self._rng.randint(1, 4)
            variables |= {STRIKE: f"{point}:{times}", STRUCK: str(struck)}
        return self._start(**variables), struck

    def _bury(self) -> None:
        for replica, struck in list(self._alive):
            code = replica.process.poll()
            if code is None:
                continue
            self._alive.remove((replica, struck))
            if code == -signal.SIGKILL:
                point = struck.read_text().strip().rpartition(":")[0] if struck.exists() else "random"
                self.killed[point] += 1
                self.leaders_killed += '"action": "lead"' in replica.log.read_text()
            else:
                last = "".join(replica.log.read_text().splitlines(keepends=True)[-3:])
                self.died.append(f"exit code {code}: {last}")
