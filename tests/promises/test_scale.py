"""Many finished objects and a long backlog: restart time and memory stay flat.

Airflow #22612 and Volcano #4964 slowed down with what had ended, KEDA #829 with what waited. Here the same operator is
started with little and with much, and only the two are compared; `make bench` has 10,000 and 1,000,000 of them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import redis.asyncio

from paperjobs.kube.paperqueue import queue_settings
from paperjobs.model import QueueSettings
from support.controlplane import ControlPlane
from support.crowd import fill_waiting, original, put_into_cluster, take_out_of_cluster
from support.objects import Kubectl, add, paperqueue, phases
from support.operator_process import OperatorProcess, Start, until
from support.scripted_run import SCRIPTED_IMAGE

FINISHED: Final = (50, 2_000)
WAITING: Final = (1_000, 200_000)

KILOBYTES_EACH: Final = 30
"""For a finished PaperJob with its Job and Pod; 16 are needed, the rest is the allocator's mood."""

MORE_MEMORY: Final = 1.1
"""With 200 times the backlog; a job that was kept in memory would double it."""

SLOWER: Final = 5
"""How many times longer a start may take with much: reading 40 times as many objects is about a second beside the one
that a start takes anyhow, on a machine that is busy with other things too. What looks through them again and again for
each of them takes far longer."""

JOB_ID: Final = "the-original-of-the-copies"
DIGESTION_SECONDS: Final = 8
"""For the cluster's own controllers, which look at each new object once."""

STARTS: Final = 2
"""The quicker of so many counts."""

REST_SECONDS: Final = 6
"""After a start, until memory is read: a resync of a busy queue lies in it."""


@pytest.fixture
def settings(kubectl: Kubectl, crds: None, redis_client: redis.asyncio.Redis) -> QueueSettings:
    """A PaperQueue with room for one job, which keeps all that has ended."""
    manifest = paperqueue(concurrency=1, history={"completed": 10_000, "failed": 10_000})
    kubectl("apply", "-f", "-", stdin=manifest)
    return queue_settings(json.loads(manifest), SCRIPTED_IMAGE)


@contextmanager
def started(start: Start) -> Iterator[tuple[OperatorProcess, float]]:
    """A new operator, and the seconds from its start to its first new claim; it ends with the context."""
    begun = time.monotonic()
    operator = start()
    operator.wait_for("launched", 60.0)
    seconds = time.monotonic() - begun
    time.sleep(REST_SECONDS)
    yield operator, seconds
    operator.stop()


def resident_kilobytes(operator: OperatorProcess) -> int:
    """What the process has in memory."""
    lines = Path(f"/proc/{operator.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


@pytest.mark.usefixtures("test_node")
async def test_restart_time_and_memory_stay_flat_with_thousands_of_finished_objects(
    start: Start,
    settings: QueueSettings,
    control_plane: ControlPlane,
    kubectl: Kubectl,
    namespace: str,
    valkey_port: int,
) -> None:
    await add(valkey_port, {}, jobId=JOB_ID)
    with started(start):
        until(lambda: phases(kubectl) == ["Completed"])
        until(lambda: kubectl("get", "jobs", "-o", "jsonpath={.items[*].status.succeeded}") == "1")
    first = original(control_plane, valkey_port, namespace, settings, JOB_ID)
    seconds, kilobytes, there = [], [], 1
    try:
        for count in FINISHED:
            put_into_cluster(control_plane, list(first.copies(f"copy-{number}" for number in range(there, count))))
            there = count
            await asyncio.sleep(DIGESTION_SECONDS)
            times = []
            for _ in range(STARTS):
                await add(valkey_port, {})
                with started(start) as (operator, took):
                    times.append(took)
                    resident = resident_kilobytes(operator)
            seconds.append(min(times))
            kilobytes.append(resident)
    finally:
        take_out_of_cluster(control_plane, namespace)
    few, many = FINISHED
    assert (kilobytes[1] - kilobytes[0]) / (many - few) < KILOBYTES_EACH, kilobytes
    assert seconds[1] < SLOWER * seconds[0], seconds


async def test_restart_time_and_memory_stay_flat_with_a_backlog_of_hundreds_of_thousands(
    start: Start, settings: QueueSettings, kubectl: Kubectl, redis_client: redis.asyncio.Redis, valkey_port: int
) -> None:
    seconds, kilobytes = [], []
    for slots, count in enumerate(WAITING, 1):
        # No node: what was started stays pending, and each start has one slot more to fill.
        kubectl("patch", "paperqueue", settings.name, "--type=merge", "-p", f'{{"spec": {{"concurrency": {slots}}}}}')
        fill_waiting(valkey_port, settings, count)
        with started(start) as (operator, took):
            seconds.append(took)
            kilobytes.append(resident_kilobytes(operator))
    await redis_client.flushall()
    assert kilobytes[1] < MORE_MEMORY * kilobytes[0], kilobytes
    assert seconds[1] < SLOWER * seconds[0], seconds
