"""Runs of any pipeline, several at a time, each among stand-ins of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paperjobs_standins.server import SERVICES, Standins
from support.runner_process import environment

ALL: Final = tuple(SERVICES)


@dataclass(frozen=True, kw_only=True)
class Surrounded:
    """A run that can be started, and what is around it."""

    standins: Standins
    env: dict[str, str]

    def calls(self, service: str, path: str = "", method: str = "") -> int:
        """How many requests the service has got whose path and query contain `path`; by default all."""
        requests = getattr(self.standins, service).requests
        return sum(path in one.target and method in ("", one.method) for one in requests)

    def again(self) -> dict[str, str]:
        """The environment of the job's next attempt."""
        return self.env | {"PAPERJOBS_CLAIM": "2", "PAPERJOBS_ATTEMPT": "2", "PAPERJOBS_RUN": "next"}


@contextmanager
def surrounded(pipeline: str, new_database: Path, folder: Path) -> Iterator[Surrounded]:
    """A run of that pipeline, with every service as a new stand-in."""
    folder.mkdir(parents=True, exist_ok=True)
    with Standins() as standins:
        env = environment(standins, new_database, folder)
        env |= {"PAPERJOBS_QUEUE": pipeline, "PAPERJOBS_PIPELINE": pipeline, "PAPERJOBS_RUN": f"{pipeline}-abc"}
        yield Surrounded(standins=standins, env=env)


def until(condition: Callable[[], object], seconds: float = 60) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
