"""The operator is away for longer than a lock lives in stock BullMQ (30 s), while a run goes on and a stock worker's
stalled check goes round: no stall, no second run, and the result is recorded when the operator is back.

BullMQ itself moved such a job back and ran it twice (observed: lock lost, "Missing lock" at the end).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import Final

import pytest

from support.lives import ONE_RUN, life
from support.objects import QUEUE, Kubectl, paperqueue
from support.operator_process import Start, until
from support.testnode import TestNode
from support.webapp import WebApp, WebAppError

STOCK_LOCK_SECONDS: Final = 30
"""npm bullmq's Worker option lockDuration, and stalledInterval: a job is given up after two looks at a lost lock."""

STALLED_INTERVAL_MS: Final = 1000
"""The foreign worker's: so that it looks thirty times instead of once."""

pytestmark = pytest.mark.usefixtures("redis_client")


async def test_an_operator_away_for_longer_than_a_stock_lock_lives_finds_the_result_and_nothing_ran_twice(
    start: Start,
    kubectl: Kubectl,
    app: WebApp,
    test_node: TestNode,
    namespace: str,
) -> None:
    kubectl("apply", "-f", "-", stdin=paperqueue(concurrency=3))
    first = start()
    await asyncio.to_thread(until, first.ready)
    ends_meanwhile = await app.add(QUEUE, {"seconds": 20, "report": {"result": {"n": 1}}}, attempts=3)
    fails_meanwhile = await app.add(QUEUE, {"seconds": 20, "exit": 65, "report": {"message": "no"}}, attempts=3)
    outlives = await app.add(QUEUE, {"seconds": 42, "report": {"result": {"n": 2}}}, attempts=3)
    await asyncio.to_thread(test_node.wait_until_running, namespace, 3)
    first.process.kill()
    first.process.wait()
    gone_at = time.monotonic()

    # Its stalled check takes every job whose lock is gone. Nothing waits, so it claims nothing.
    stock = {"stalledInterval": STALLED_INTERVAL_MS, "maxStalledCount": 1}
    await app.ask("startWorker", queue=QUEUE, opts=stock)
    while time.monotonic() < gone_at + STOCK_LOCK_SECONDS + 5:
        counts = await app.ask("counts", queue=QUEUE)
        assert (counts["active"], counts["waiting"]) == (3, 0)
        await asyncio.sleep(1)
    assert await app.ask("stopWorker", queue=QUEUE) == {"runs": [], "errors": []}
    assert [one.exit_code for one in test_node.started_in(namespace)].count(None) == 1

    second = start()
    await asyncio.to_thread(second.wait_for, "lead", 30)
    expected = {ends_meanwhile: "completed", fails_meanwhile: "failed", outlives: "completed"}
    for job_id, state in expected.items():
        with suppress(WebAppError):  # so the client is told that a job failed
            await app.wait(QUEUE, job_id, seconds=30)
        assert await life(app, test_node, namespace, QUEUE, job_id) == replace(ONE_RUN, state=state, ends=(state,))
    seen = await app.inspect(QUEUE, outlives)
    assert seen is not None
    assert (seen["returnvalue"], seen["stalledCounter"]) == ({"n": 2}, 0)
    assert "stalled" not in {event["event"] for event in await app.events(QUEUE)}
