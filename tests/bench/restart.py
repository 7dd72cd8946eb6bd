"""Figure: an operator starts while 2,000 runs are alive → its first new claim; and whether any job was started twice.

The runs are copies of a real one, PaperJob, Job, Pod and BullMQ job. They fill nearly all slots of four queues; each
queue has a job waiting and room for it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis

from bench.figure import Figure
from bench.installation import Site, bench_queue, first_launch, installed, settings_of, site, test_node
from bench.quantile import summary
from bench.stock import stock_process
from bench.target import Target
from support.crowd import Original, original, put_into_cluster, put_into_redis
from support.node_project import install_webapp
from support.operator_process import until
from support.tools import node

LIVE: Final = 2_000
QUEUES: Final = [bench_queue(f"bench-{number}", concurrency=LIVE // 4 + 50) for number in range(1, 5)]
ORIGINAL: Final = "the-original-of-the-copies"
RUN_SECONDS: Final = 3_600
STARTS: Final = 3
SETTLE_SECONDS: Final = 10
"""For the Job controller after the copies have come, and for whatever an operator might do wrong after its start."""


@dataclass(frozen=True, kw_only=True)
class Starts:
    """What was seen of some starts."""

    first: list[float]
    """Seconds from each start to the first new claim."""
    all_queues: list[float]
    """To the last queue's."""
    twice: int
    """Jobs that were claimed or run more than once, or ended."""


def measure(folder: Path) -> list[Figure]:
    """The longest of some starts, and the number of duplicates."""
    with site(folder, QUEUES) as place, test_node(place, folder):
        seen = asyncio.run(_measure(place))
    return [
        Figure(
            name=f"restart with {LIVE:,} live runs -> first new claim, longest of {STARTS}",
            unit="s",
            value=max(seen.first),
            target=Target(5),
            details={"firstClaim": summary(seen.first), "firstClaimInEveryQueue": summary(seen.all_queues)},
        ),
        Figure(
            name=f"restart with {LIVE:,} live runs: jobs claimed, run or ended a second time",
            unit="jobs",
            value=seen.twice,
            target=Target(0),
        ),
    ]


async def _measure(place: Site) -> Starts:
    first, everywhere = list[float](), list[float]()
    async with stock_process(node(), install_webapp(), place.valkey_port) as producer:
        operator = installed(place).operator
        for queue in QUEUES:
            job_id = f"{ORIGINAL}-{queue['metadata']['name']}"
            await producer.add(queue["spec"]["queue"], {"seconds": RUN_SECONDS}, jobId=job_id)
        await asyncio.to_thread(until, lambda: _jobs(place, ".items[*].status.ready").count("1") == len(QUEUES), 30)
        await asyncio.sleep(1)
        operator.stop()
        originals = [_original(place, queue) for queue in QUEUES]
        part = (LIVE - len(QUEUES)) // len(QUEUES)
        copies = [copy for one in originals for copy in one.copies(f"copy-{number}" for number in range(part))]
        put_into_redis(place.valkey_port, copies)
        put_into_cluster(place.cluster, copies)
        await asyncio.sleep(SETTLE_SECONDS)
        for _ in range(STARTS):
            for queue in QUEUES:
                await producer.add(queue["spec"]["queue"], {"seconds": RUN_SECONDS})
            begun = time.monotonic()
            operator = place.start()
            first.append(await first_launch(operator, since=begun))
            await asyncio.to_thread(until, lambda: operator.log.read_text().count('"launched"') >= len(QUEUES), 30)  # noqa: B023
            everywhere.append(time.monotonic() - begun)
            await asyncio.sleep(SETTLE_SECONDS)
            operator.stop()
    jobs = LIVE + STARTS * len(QUEUES)
    return Starts(first=first, all_queues=everywhere, twice=_started_twice(place, jobs))


def _original(place: Site, queue: dict[str, Any]) -> Original:
    settings = settings_of(queue)
    return original(place.cluster, place.valkey_port, place.namespace, settings, f"{ORIGINAL}-{settings.name}")


def _started_twice(place: Site, jobs: int) -> int:
    """Jobs that are not exactly one claim with one Kubernetes Job."""
    wrong = abs(len(_jobs(place, ".items[*].metadata.name")) - jobs)
    with redis.Redis(host="127.0.0.1", port=place.valkey_port, decode_responses=True) as client:
        active = 0
        for queue in QUEUES:
            base = f"bull:{queue['spec']['queue']}:"
            ids: Any = client.lrange(f"{base}active", 0, -1)
            active += len(ids)
            wrong += sum(client.hget(base + one, "ats") != "1" for one in ids)
    return wrong + abs(active - jobs)


def _jobs(place: Site, path: str) -> list[str]:
    return place.cluster.kubectl("-n", place.namespace, "get", "jobs", "-o", f"jsonpath={{{path}}}").split()
