"""Which external services are real in a local session, and one process that plays all the others."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from paperjobs.local.service import Service, running
from paperjobs.local.statedir import StateDir

REAL: Final = {
    "arxiv": ("ARXIV_CONTACT", "ARXIV_API_URL"),
    "adobe": ("ADOBE_CLIENT_ID", "ADOBE_CLIENT_SECRET"),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "s3": ("AWS_S3_BUCKET", "PAPERJOBS_STORAGE_DIR"),
    "asana": ("ASANA_API_KEY",),
}
"""A service is real when one of these is set. arXiv has no keys; it asks programs to say whose they are, so whoever
gives a contact means the real one."""

START_S: Final = 60.0
"""It takes half a second; on a laptop that is busy with something else a few. More than this is a fault."""

POLL_S: Final = 0.05

LOOPBACK: Final = "127.0.0.1,localhost"


@dataclass(frozen=True, kw_only=True)
class Played:
    """The stand-ins' process, and what it plays."""

    service: Service
    names: frozenset[str]

    async def env(self) -> dict[str, str]:
        """Wait until all are up; the variables that make a run use them. Raises ServiceFailed."""
        try:
            async with asyncio.timeout(START_S):
                while (said := self._said()) is None:
                    if self.service.process.returncode is not None:
                        raise self.service.failure("did not start")
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise self.service.failure(f"did not start within {START_S:g} s") from None
        return {name: value for name, value in said.items() if name.upper() != "NO_PROXY"}

    def _said(self) -> dict[str, str] | None:
        """The one line that it prints when it is ready."""
        for line in self.service.log.read_text(errors="replace").splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                said: dict[str, str] = json.loads(line)
                return said
        return None


def to_play(env: Mapping[str, str]) -> frozenset[str]:
    """The services for which `env` has nothing."""
    return frozenset(service for service, names in REAL.items() if not any(env.get(name, "").strip() for name in names))


def without_proxy(env: Mapping[str, str]) -> dict[str, str]:
    """Loopback is never reached through a proxy, whatever the company's settings are."""
    known = [env[name] for name in ("NO_PROXY", "no_proxy") if env.get(name)]
    value = ",".join([*known, LOOPBACK])
    return {**env, "NO_PROXY": value, "no_proxy": value}


@asynccontextmanager
async def stand_ins(state: StateDir, env: Mapping[str, str]) -> AsyncIterator[Played | None]:
    """Start to play what `env` leaves open; None when everything is real. They are up once `Played.env` returns."""
    names = to_play(env)
    if not names:
        yield None
        return
    chosen = [word for name in sorted(names) for word in ("--service", name)]
    command = [sys.executable, "-m", "paperjobs_standins", *chosen]
    async with running(state, "stand-ins", command, env=env) as service:
        yield Played(service=service, names=names)
