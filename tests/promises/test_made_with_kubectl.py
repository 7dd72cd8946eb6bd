"""PaperJobs made with kubectl keep to the same limits, and while they wait they say why and until when."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from support.objects import Kubectl, add, paperjob
from support.operator_process import Start, until
from support.queue_view import QueueView, eventually
from support.testnode import TestNode
from support.webapp import WebApp

pytestmark = pytest.mark.usefixtures("redis_client", "test_node")


@pytest.fixture
def view(kubectl: Kubectl, app: WebApp) -> QueueView:
    return QueueView(kubectl, app)


async def make(view: QueueView, name: str, **spec: Any) -> str:
    """Create a PaperJob; the id of its job in BullMQ."""
    await view.call("create", "-f", "-", stdin=paperjob(name, **spec))
    return "pj-" + await view.call("get", "pj", name, "-o", "jsonpath={.metadata.uid}")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


async def test_one_that_waits_says_why_and_until_when_and_starts_under_the_limits_of_the_others(
    start: Start, view: QueueView, valkey_port: int, test_node: TestNode, namespace: str
) -> None:
    await view.serve(concurrency=1, rateLimit={"max": 1, "per": "12s"})
    until(start().ready)
    await add(valkey_port, {"seconds": 3})
    await eventually(lambda: _count(test_node, namespace, 1), "the web app's job runs")
    mine = await make(view, "mine")

    await view.shows(mine, phase="Waiting", reason="ConcurrencyFull", message="1 of 1 slots in use")
    waits = await view.shows(mine, phase="Waiting", reason="WindowFull")
    opens = at(waits["notBefore"])
    assert opens > datetime.now(UTC)
    _, row = (await view.call("get", "paperjob", "mine")).splitlines()
    assert row.split()[3:6] == ["Waiting", "WindowFull", waits["notBefore"]]

    done = await view.shows(mine, phase="Completed", seconds=30)
    assert "notBefore" not in done
    first, second = test_node.started_in(namespace)
    assert second.at - first.at >= 11.5


async def _count(test_node: TestNode, namespace: str, number: int) -> bool:
    return len(test_node.started_in(namespace)) == number


async def test_one_with_a_delay_starts_when_it_is_due_and_not_before(start: Start, view: QueueView) -> None:
    await view.serve()
    until(start().ready)
    mine = await make(view, "mine", delay="4s")

    waits = await view.shows(mine, phase="Delayed", reason="Delayed")
    created = at(await view.call("get", "pj", "mine", "-o", "jsonpath={.metadata.creationTimestamp}"))
    # Creation and start are told in whole seconds; a delay is never cut short by that.
    assert 5 <= (at(waits["notBefore"]) - created).total_seconds() < 5.5
    done = await view.shows(mine, phase="Completed")
    assert (at(done["startedAt"]) - created).total_seconds() >= 5


async def test_priority_attempts_and_backoff_are_bullmqs(start: Start, view: QueueView) -> None:
    await view.serve(suspend=True)
    until(start().ready)
    mine = await make(view, "mine", priority=9, attempts=2, backoff={"type": "fixed", "delay": "2s"})

    await view.shows(mine, phase="Waiting", reason="Suspended", message="spec.suspend is true")
    job = await view.job(mine)
    assert (job["state"], job["priority"], job["opts"]["attempts"]) == ("prioritized", 9, 2)
    assert job["opts"]["backoff"] == {"type": "fixed", "delay": 2000, "jitter": 0}


async def test_many_that_wait_cost_few_writes(start: Start, view: QueueView) -> None:
    await view.serve(suspend=True)
    replica = start()
    until(replica.ready)
    many = [json.loads(paperjob(f"mine-{number}")) for number in range(60)]
    await view.call("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": many}))
    await view.call("wait", "--for=jsonpath={.status.reason}=Suspended", "pj", "--all", "--timeout=30s")
    before = await _versions(view)

    await view.edit(suspend=False, concurrency=0)

    async def told() -> bool:
        return await _reasons(view, "ConcurrencyZero") >= 20

    await eventually(told, "twenty are told at once")
    assert await _reasons(view, "ConcurrencyZero") == 20
    await view.call("wait", "--for=jsonpath={.status.reason}=ConcurrencyZero", "pj", "--all", "--timeout=40s")
    after = await _versions(view)
    assert all(after[name] != version for name, version in before.items())


async def _versions(view: QueueView) -> dict[str, str]:
    return {body["metadata"]["name"]: body["metadata"]["resourceVersion"] for body in await view.items("paperjobs")}


async def _reasons(view: QueueView, reason: str) -> int:
    return sum((body.get("status") or {}).get("reason") == reason for body in await view.items("paperjobs"))
