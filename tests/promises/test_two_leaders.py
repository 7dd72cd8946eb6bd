"""A leader is frozen within a step for longer than its lease; another takes over; then it goes on where it was.

For a moment there are two who believe that they lead. Limits hold, each claim has one run, the old one stops acting.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from support.crashing_operator import LEASE_SECONDS, STRIKE, STRUCK
from support.lives import ONE_RUN, Life, life
from support.objects import QUEUE, Kubectl, clear_up, paperqueue
from support.operator_process import OperatorProcess, Start, until
from support.testnode import TestNode
from support.webapp import WebApp

FROZEN_AT: Final = ("before:claim", "after:claim", "before:create-job", "before:finish", "before:delete-paperjob")
"""In the order of a job's life. What comes next is what the old leader still tries to do when it wakes up."""

pytestmark = pytest.mark.usefixtures("redis_client")


@pytest.mark.parametrize("point", FROZEN_AT)
async def test_a_leader_that_wakes_up_after_another_took_over_starts_nothing_and_ends_nothing(
    start: Start, kubectl: Kubectl, app: WebApp, test_node: TestNode, namespace: str, tmp_path: Path, point: str
) -> None:
    history = {"completed": 0, "failed": 0}
    kubectl("apply", "-f", "-", stdin=paperqueue(concurrency=1, rateLimit={"max": 5, "per": "600s"}, history=history))
    struck = tmp_path / "struck"
    old = start(**{LEASE_SECONDS: "2", STRIKE: f"{point}:1:STOP", STRUCK: str(struck)})
    await asyncio.to_thread(until, lambda: "lead" in old.actions(), 60)
    new = start(**{LEASE_SECONDS: "2"})
    with sampling(lambda: len(test_node.running(namespace))) as running:
        job_ids = [await app.add(QUEUE, {"seconds": 0.2}) for _ in range(3)]
        await asyncio.to_thread(until, struck.exists, 60)
        await asyncio.to_thread(new.wait_for, "lead")
        for job_id in job_ids:
            await app.wait(QUEUE, job_id, seconds=60)
        # Their Jobs are gone too, so that no name protects from a second run.
        await asyncio.to_thread(clear_up, kubectl)

        old.process.send_signal(signal.SIGCONT)
        await asyncio.to_thread(until, lambda: stopped_acting(old))
        job_ids += [await app.add(QUEUE, {"seconds": 0.2}) for _ in range(2)]
        for job_id in job_ids[3:]:
            await app.wait(QUEUE, job_id, seconds=60)
        await asyncio.to_thread(clear_up, kubectl)
    for job_id in job_ids:
        assert await life(app, test_node, namespace, QUEUE, job_id) == ONE_RUN
    assert max(running) == 1
    assert [replica.process.poll() for replica in (old, new)] == [None, None]

    # The window is used up, by the counts of both: the sixth start waits, whoever leads.
    new.process.kill()
    sixth = await app.add(QUEUE, {})
    await asyncio.to_thread(until, lambda: old.actions().count("lead") == 2, 60)
    await asyncio.sleep(1)
    assert (await app.ask("counts", queue=QUEUE))["waiting"] == 1
    assert await life(app, test_node, namespace, QUEUE, sixth) == Life("waiting", 0, 0, 0, (), 0, 0)


def stopped_acting(replica: OperatorProcess) -> bool:
    return any("stops acting" in line["message"] for line in replica.lines())


@contextmanager
def sampling(look: Callable[[], int]) -> Iterator[list[int]]:
    """What `look` finds, all the time beside the test."""
    found, over = [0], threading.Event()

    def work() -> None:
        while not over.wait(0.01):
            found.append(look())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
