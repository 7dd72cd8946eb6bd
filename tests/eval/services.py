"""The external services of an evaluation: stand-ins, or with `real` those whose keys are in the environment.

The papers come from arXiv's stand-in in any case: arXiv does not have them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from paperjobs_standins.papers import SamplePaper
from paperjobs_standins.server import Standins

_KEYS: Final = {"anthropic": ("ANTHROPIC_API_KEY",), "adobe": ("ADOBE_CLIENT_ID", "ADOBE_CLIENT_SECRET")}
"""A service is real when all of these are set."""
_PASSED: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_MODEL", "ADOBE_CLIENT_ID", "ADOBE_CLIENT_SECRET", "ADOBE_REGION")


class NoKey(Exception):
    """Real services were asked for and Claude's key is not there."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """Running stand-ins, and the environment with which a run uses them or the real services."""

    standins: Standins
    env: Mapping[str, str]
    played: tuple[str, ...]

    def take_calls(self) -> Counter[str]:
        """Requests to each stand-in since the last time; real services are not counted."""
        calls = Counter({name: len(getattr(self.standins, name).requests) for name in self.played})
        self.standins.clear()
        return calls


@contextmanager
def services(
    papers: list[SamplePaper], environ: Mapping[str, str], *, real: bool, adobe: bool = True
) -> Iterator[Services]:
    """Started, and stopped afterwards; raises NoKey. Without `adobe` pypdf reads the papers."""
    genuine = {name for name, keys in _KEYS.items() if real and all(environ.get(key) for key in keys)}
    if real and "anthropic" not in genuine:
        raise NoKey("--real: ANTHROPIC_API_KEY is not set")
    unused = set() if adobe else {"adobe"}
    played = tuple(name for name in ("arxiv", "adobe", "anthropic") if name not in genuine | unused)
    with Standins(played, papers=papers) as standins:
        passed = {name: environ[name] for name in _PASSED if genuine and environ.get(name)}
        if not adobe:
            passed = {name: value for name, value in passed.items() if not name.startswith("ADOBE_")}
        yield Services(standins=standins, env={**passed, **standins.env()}, played=played)
