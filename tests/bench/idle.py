"""Figure: what an idle operator costs with the four queues of crds/queues: CPU, Redis commands, API requests.

Baseline: four idle stock BullMQ workers in one Node process, in the same minute, on a Valkey of their own.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.api_requests import Counts, operator_requests, readable, server_requests, total
from bench.figure import Figure
from bench.installation import Installation, installation
from bench.machine import cpu_seconds
from bench.stages import Command, stage_recorder
from bench.stock import stock_process
from bench.target import Target
from support.node_project import install_webapp
from support.tools import ROOT, node
from support.valkey import valkey_server

QUEUES: Final = ("institution-extraction", "author-extraction", "llm-processing", "auto-tagging")
STOCK: Final = "four idle stock BullMQ workers in one Node process, same minute"
OURS: Final = ("paperqueues", "paperjobs", "apibudgets")
SETTLE_SECONDS: Final = 15
"""For what follows a start."""
SECONDS: Final = 60


@dataclass(frozen=True, kw_only=True)
class Minute:
    """What was used while nothing happened."""

    seconds: float
    cpu: float
    stock_cpu: float
    commands: list[Command]
    stock_commands: list[Command]
    requests: Counts
    """Sent by the operator's own client."""
    answered: Counts
    """Of our kinds, as the server counts them; kopf's too."""


def measure(folder: Path) -> list[Figure]:
    """Three figures a minute."""
    stock_folder = folder / "stock"
    stock_folder.mkdir()
    with installation(folder, ROOT / "crds" / "queues") as parts, valkey_server(stock_folder) as stock_port:
        seen = asyncio.run(_idle(parts, stock_port))
    minutes = seen.seconds / 60
    # kopf's watches are in the server's count only, and so are added.
    kopf = total(seen.answered, verbs={"watch", "list"}) - sum(
        number for (verb, kind), number in seen.requests.items() if verb in {"watch", "list"} and kind in OURS
    )
    return [
        Figure(
            name="idle operator, four queues: CPU",
            unit="% of a core",
            value=100 * seen.cpu / seen.seconds,
            baseline_name=STOCK,
            baseline=100 * seen.stock_cpu / seen.seconds,
            target=Target(1),
        ),
        Figure(
            name="idle operator, four queues: Redis commands",
            unit="a minute",
            value=len(seen.commands) / minutes,
            baseline_name=STOCK,
            baseline=len(seen.stock_commands) / minutes,
            target=Target(60),
            details={"ours": _by_name(seen.commands), "stock": _by_name(seen.stock_commands)},
        ),
        Figure(
            name="idle operator, four queues: API requests",
            unit="a minute",
            value=(total(seen.requests) + max(0, kopf)) / minutes,
            target=Target(30),
            details={"own": readable(seen.requests), "ourKindsAsTheServerCounts": readable(seen.answered)},
        ),
    ]


async def _idle(parts: Installation, stock_port: int) -> Minute:
    async with stock_process(node(), install_webapp(), stock_port) as workers:
        for queue in QUEUES:
            await workers.work(queue)
        await asyncio.sleep(SETTLE_SECONDS)
        pid = parts.operator.process.pid
        async with stage_recorder(parts.valkey_port) as ours, stage_recorder(stock_port) as theirs:
            requests, answered = operator_requests(parts.operator), server_requests(parts.cluster)
            begun, cpu, stock_cpu = time.monotonic(), cpu_seconds(pid), cpu_seconds(workers.pid)
            await asyncio.sleep(SECONDS)
            seconds = time.monotonic() - begun
            cpu, stock_cpu = cpu_seconds(pid) - cpu, cpu_seconds(workers.pid) - stock_cpu
        sent, served = operator_requests(parts.operator), server_requests(parts.cluster)
    sent.subtract(requests)
    served.subtract(answered)
    return Minute(
        seconds=seconds,
        cpu=cpu,
        stock_cpu=stock_cpu,
        commands=ours.commands,
        stock_commands=theirs.commands,
        requests=sent,
        answered=served,
    )


def _by_name(commands: list[Command]) -> dict[str, int]:
    return dict(Counter(command.name for command in commands).most_common())
