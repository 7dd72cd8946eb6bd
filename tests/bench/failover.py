"""Figures: how long nobody starts jobs when the leader dies, and when it is stopped in good order.

Two replicas, a queue with room, and a producer that goes on adding jobs from the signal on: the figure is the time from
the signal to the first launch of the other replica, as its log tells. The claim was a moment before.
"""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Final

from bench.figure import Figure
from bench.installation import Site, bench_queue, first_launch, serves, site
from bench.quantile import summary
from bench.stock import StockProcess, stock_process
from bench.target import Target
from support.node_project import install_webapp
from support.operator_process import OperatorProcess, until
from support.tools import node

QUEUE: Final = "bench"
KILLS: Final = 3
STOPS: Final = 6
ADD_SECONDS: Final = 0.1
"""Between two jobs: all of them must find a slot, since nothing ends."""


def measure(folder: Path) -> list[Figure]:
    """One figure for each way to go; the longest of some times."""
    with site(folder, [bench_queue(QUEUE, concurrency=1000)]) as place:
        kills, stops = asyncio.run(_measure(place))
    return [
        Figure(
            name=f"{how} -> other replica's first claim, longest of {len(times)}",
            unit="s",
            value=max(times),
            target=Target(bound),
            details={"seconds": summary(times)},
        )
        for how, times, bound in (("leader killed", kills, 15), ("leader stopped cleanly", stops, 2))
    ]


async def _measure(place: Site) -> tuple[list[float], list[float]]:
    async with stock_process(node(), install_webapp(), place.valkey_port) as producer:
        leader = place.start()
        await asyncio.to_thread(until, lambda: leader.ready() and serves(leader))
        times: dict[int, list[float]] = {signal.SIGKILL: [], signal.SIGTERM: []}
        for number in [signal.SIGTERM] * STOPS + [signal.SIGKILL] * KILLS:
            other = place.start()
            await asyncio.to_thread(until, other.ready)
            await asyncio.sleep(1.0)
            times[number].append(await _hand_over(producer, leader, other, number))
            leader.process.wait()
            leader = other
    return times[signal.SIGKILL], times[signal.SIGTERM]


async def _hand_over(producer: StockProcess, leader: OperatorProcess, other: OperatorProcess, number: int) -> float:
    """Seconds from the signal to the other's first launch."""

    async def produce() -> None:
        while True:
            await producer.add(QUEUE, {})
            await asyncio.sleep(ADD_SECONDS)

    begun = time.monotonic()
    leader.process.send_signal(number)
    producing = asyncio.create_task(produce())
    try:
        return await first_launch(other, since=begun)
    finally:
        producing.cancel()
        await asyncio.wait([producing])
