"""One run of `paperjobs-runner` as the operator starts it: a real BullMQ job in Redis, the stand-ins, SQLite."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis

from paperjobs_standins.papers import SamplePaper, pdf_of
from paperjobs_standins.server import Standins
from support.valkey import valkey_server

QUEUE: Final = "institution-extraction"
COMMAND: Final = (str(Path(sys.executable).with_name("paperjobs-runner")),)

NEVER_SHORT: Final = {"max": 1_000, "perMs": 60_000}
"""A budget as every real queue has them: each call asks Redis, and never waits."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What runs need around them."""

    standins: Standins
    valkey_port: int
    folder: Path

    def environment(self, paper: SamplePaper) -> dict[str, str]:
        """The variables of a run for this paper, whose PDF and job are prepared and whose database is new."""
        pdf_of(paper)  # typeset before the clock runs
        name = paper.arxiv_id.replace("/", "-")
        payload = json.dumps({"paperId": name, "arxivUrl": paper.abs_url})
        with redis.Redis(host="127.0.0.1", port=self.valkey_port) as client:
            client.hset(f"bull:{QUEUE}:{name}", mapping={"name": "paper", "data": payload, "opts": "{}", "ats": 1})
        return bare_environment() | {
            **self.standins.env(),
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self.valkey_port),
            "DATABASE_URL": f"sqlite:///{self.folder}/{name}.db",
            "PAPERJOBS_QUEUE": QUEUE,
            "PAPERJOBS_PREFIX": "bull",
            "PAPERJOBS_PIPELINE": QUEUE,
            "PAPERJOBS_JOB_ID": name,
            "PAPERJOBS_RUN": f"{QUEUE}-{name}",
            "PAPERJOBS_CLAIM": "1",
            "PAPERJOBS_ATTEMPT": "1",
            "PAPERJOBS_TIMEOUT_SECONDS": "120",
            "PAPERJOBS_PAYLOAD": payload,
            "PAPERJOBS_BUDGETS": json.dumps(dict.fromkeys(("arxiv", "adobe", "anthropic"), NEVER_SHORT)),
            "PAPERJOBS_TERMINATION_LOG": str(self.folder / f"{name}.termination"),
        }

    def forget_feeds(self) -> None:
        """Of what arXiv said in the last hours, so that it is asked again."""
        with redis.Redis(host="127.0.0.1", port=self.valkey_port) as client:
            if keys := list(client.scan_iter("{paperjobs}:arxiv:feed:*")):
                client.delete(*keys)


@contextmanager
def surroundings(folder: Path) -> Iterator[Surroundings]:
    """The stand-ins of every service and a Valkey; stopped afterwards."""
    with Standins() as standins, valkey_server(folder) as port:
        yield Surroundings(standins=standins, valkey_port=port, folder=folder)


def bare_environment() -> dict[str, str]:
    """What an image would set; Python keeps what it compiles."""
    return {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}


def migrate(environment: Mapping[str, str]) -> None:
    """Make the tables of a run's database."""
    subprocess.run([*COMMAND, "db", "upgrade"], env=dict(environment), check=True, capture_output=True)


def run_to_its_end(environment: Mapping[str, str]) -> None:
    """Raises CalledProcessError when the run did not succeed: its time would mean nothing."""
    subprocess.run(COMMAND, env=dict(environment), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
