"""A cancelled job is over: its pod is gone, its slot is free, and the web app sees it failed with the reason.

BullMQ #3814 has no way to stop a job that runs; Argo #7633 left the pods of deleted workflows alive.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from support.objects import QUEUE, Kubectl, paperjob
from support.operator_process import Start
from support.queue_view import QueueView, eventually
from support.testnode import TestNode
from support.webapp import WebApp

pytestmark = pytest.mark.usefixtures("redis_client", "test_node")

BY_COMMAND = "cancelled: by `paperjobs cancel`"
BY_DELETION = "cancelled: the job's PaperJob was deleted"


@pytest.fixture
def view(kubectl: Kubectl, app: WebApp) -> QueueView:
    return QueueView(kubectl, app)


async def cancel(valkey_port: int, *job_ids: str, wait: bool = True) -> tuple[int, str]:
    """`paperjobs cancel`: its exit code and what it says."""
    command = [str(Path(sys.executable).with_name("paperjobs")), "cancel", QUEUE, *job_ids]
    process = await asyncio.create_subprocess_exec(
        *command,
        *(("--wait", "--timeout", "30") if wait else ()),
        env={"PATH": os.environ["PATH"], "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(valkey_port)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def name_of_paperjob(view: QueueView, job_id: str) -> str:
    async def look() -> str | None:
        for body in await view.items("paperjobs"):
            if body["spec"].get("jobId") == job_id or f"pj-{body['metadata']['uid']}" == job_id:
                return str(body["metadata"]["name"])
        return None

    return str(await eventually(look, f"job {job_id} has a PaperJob"))


async def gone(view: QueueView, test_node: TestNode, namespace: str) -> None:
    """No pod lives, no Job is left, no slot is taken."""

    async def look() -> bool:
        jobs = await view.items("jobs")
        return not jobs and not test_node.running(namespace)

    await eventually(look, "the run's Job and pod are gone")
    await view.says(live=0)


async def test_a_running_job_is_cancelled_from_the_command_line(
    start: Start, view: QueueView, app: WebApp, test_node: TestNode, namespace: str, valkey_port: int
) -> None:
    await view.serve(concurrency=1)
    start()
    job_id = await app.add(QUEUE, {"seconds": 60}, attempts=3)
    await asyncio.to_thread(test_node.wait_until_running, namespace)
    following = await app.add(QUEUE, {"seconds": 0})

    code, said = await cancel(valkey_port, job_id)
    assert (code, said.splitlines()) == (
        0,
        [f"job {job_id} is active; it will be cancelled", f"job {job_id} is cancelled"],
    )
    ended = await view.job(job_id)
    assert (ended["state"], ended["failedReason"]) == ("failed", BY_COMMAND)
    await view.shows(job_id, phase="Failed", message=BY_COMMAND)
    # The slot is free: the only one of this queue.
    await view.reaches(following, "completed")


async def test_jobs_that_wait_are_over_at_once_although_no_slot_is_free(
    start: Start, view: QueueView, app: WebApp, test_node: TestNode, namespace: str, valkey_port: int
) -> None:
    await view.serve(concurrency=1, rateLimit={"max": 1, "per": "1h"})
    start()
    running = await app.add(QUEUE, {"seconds": 60})
    await asyncio.to_thread(test_node.wait_until_running, namespace)
    waiting = await app.add(QUEUE, {})
    prioritized = await app.add(QUEUE, {}, priority=5)
    delayed = await app.add(QUEUE, {}, delay=3_600_000)
    children = [{"name": "paper", "queueName": QUEUE, "data": {}}]
    parent = await app.ask("addFlow", flow={"name": "paper", "queueName": QUEUE, "data": {}, "children": children})

    code, said = await cancel(valkey_port, waiting, prioritized, delayed, str(parent))
    assert code == 0, said
    for job_id in (waiting, prioritized, delayed, str(parent)):
        ended = await view.job(job_id)
        assert (ended["state"], ended["failedReason"]) == ("failed", BY_COMMAND), said
    assert (await view.job(running))["state"] == "active", "the others are left alone"
    assert len(test_node.started_in(namespace)) == 1


async def test_what_has_ended_or_never_was_is_said_to_be_so_and_stays_as_it_is(
    start: Start, view: QueueView, app: WebApp, valkey_port: int
) -> None:
    await view.serve()
    start()
    job_id = await app.add(QUEUE, {})
    before = await view.reaches(job_id, "completed")
    code, said = await cancel(valkey_port, job_id, "nobody")
    assert code == 1
    assert said.splitlines() == [
        f"job {job_id} has completed already",
        "job nobody does not exist in this queue",
    ]
    assert await view.job(job_id) == before


async def test_a_running_job_is_cancelled_by_deleting_its_paperjob(
    start: Start, view: QueueView, app: WebApp, test_node: TestNode, namespace: str
) -> None:
    await view.serve(concurrency=1)
    start()
    job_id = await app.add(QUEUE, {"seconds": 60}, attempts=3)
    await asyncio.to_thread(test_node.wait_until_running, namespace)
    await view.call("delete", "pj", await name_of_paperjob(view, job_id))
    ended = await view.reaches(job_id, "failed")
    assert (ended["failedReason"], ended["attemptsStarted"]) == (BY_DELETION, 1)
    await gone(view, test_node, namespace)


async def test_a_job_that_waits_for_its_next_attempt_is_over_as_soon_as_its_paperjob_is_deleted(
    start: Start, view: QueueView, app: WebApp
) -> None:
    await view.serve()
    start()
    backoff = {"type": "fixed", "delay": 3_600_000}
    job_id = await app.add(QUEUE, {"exit": 75}, attempts=3, backoff=backoff)
    await view.reaches(job_id, "delayed")
    await view.call("delete", "pj", await name_of_paperjob(view, job_id))
    ended = await view.reaches(job_id, "failed", seconds=5)
    assert ended["failedReason"] == BY_DELETION


async def test_a_job_made_with_kubectl_that_waits_is_over_as_soon_as_it_is_deleted(
    start: Start, view: QueueView
) -> None:
    await view.serve(suspend=True)
    start()
    await view.call("apply", "-f", "-", stdin=paperjob("mine"))
    [body] = await view.items("paperjobs")
    job_id = f"pj-{body['metadata']['uid']}"
    await view.shows(job_id, phase="Waiting")
    await view.call("delete", "pj", "mine")
    assert (await view.reaches(job_id, "failed", seconds=5))["failedReason"] == BY_DELETION


@pytest.mark.parametrize("how", ["by deleting its PaperJob", "from the command line"])
async def test_a_cancel_while_no_operator_is_there_takes_effect_when_one_is_back(
    how: str,
    start: Start,
    view: QueueView,
    app: WebApp,
    test_node: TestNode,
    namespace: str,
    valkey_port: int,
) -> None:
    await view.serve(concurrency=1)
    operator = start()
    job_id = await app.add(QUEUE, {"seconds": 60})
    await asyncio.to_thread(test_node.wait_until_running, namespace)
    name = await name_of_paperjob(view, job_id)
    await asyncio.to_thread(operator.stop)

    if how == "from the command line":
        code, said = await cancel(valkey_port, job_id, wait=False)
        assert (code, said) == (
            0,
            f"job {job_id} is active; it will be cancelled, at once or as soon as somebody serves its queue\n",
        )
    else:
        await view.call("delete", "pj", name)
    assert (await view.job(job_id))["state"] == "active"

    start()
    ended: dict[str, Any] = await view.reaches(job_id, "failed")
    assert ended["failedReason"].startswith("cancelled: ")
    await gone(view, test_node, namespace)


async def test_deleting_the_paperjob_of_a_finished_job_touches_nothing_else(
    start: Start, view: QueueView, app: WebApp
) -> None:
    await view.serve()
    start()
    job_id = await app.add(QUEUE, {"attempts": [{"exit": 65}, {"exit": 0}]})
    await view.reaches(job_id, "failed")
    await view.shows(job_id, phase="Failed")
    before = await view.job(job_id)
    await view.call("delete", "pj", await name_of_paperjob(view, job_id))
    await asyncio.sleep(1)
    assert await view.job(job_id) == before
    # And it can be tried again.
    await app.ask("retry", queue=QUEUE, jobId=job_id)
    await view.reaches(job_id, "completed")
