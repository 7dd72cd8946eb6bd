"""`kubectl delete paperjob` while Redis is away takes effect when it is back: nothing is forgotten or stuck."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.objects import QUEUE, Kubectl, paperjob
from support.operator_process import Start, until
from support.queue_view import QueueView, eventually
from support.testnode import TestNode
from support.valkey import DURABLE, ValkeyServer, running_valkey
from support.webapp import WebApp

REASON = "cancelled: the job's PaperJob was deleted"


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server of this test's own, with an append-only file."""
    with running_valkey(tmp_path, DURABLE) as server:
        yield server


@pytest.fixture
def valkey_port(valkey: ValkeyServer) -> int:
    """The operator and the web app of this module use that server."""
    return valkey.port


async def test_paperjobs_deleted_while_redis_is_down_are_cancelled_when_it_is_back(
    start: Start, kubectl: Kubectl, app: WebApp, valkey: ValkeyServer, test_node: TestNode, namespace: str
) -> None:
    view = QueueView(kubectl, app)
    await view.serve(concurrency=1)
    until(start().ready)
    running = await app.add(QUEUE, {"seconds": 60}, attempts=3)
    await asyncio.to_thread(test_node.wait_until_running, namespace)
    await view.call("create", "-f", "-", stdin=paperjob("mine"))
    waiting = "pj-" + await view.call("get", "pj", "mine", "-o", "jsonpath={.metadata.uid}")
    await view.shows(waiting, phase="Waiting")

    valkey.stop()
    await view.call("delete", "pj", "--all")
    # The pod goes with its PaperJob, whoever is away.
    await eventually(lambda: _none_runs(test_node, namespace), "the pod is gone")
    valkey.start()

    for job_id in (running, waiting):
        assert (await view.reaches(job_id, "failed", seconds=30))["failedReason"] == REASON
    await view.says(live=0)
    assert len(test_node.started_in(namespace)) == 1


async def _none_runs(test_node: TestNode, namespace: str) -> bool:
    return not test_node.running(namespace)
