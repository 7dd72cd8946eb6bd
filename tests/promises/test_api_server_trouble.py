"""The API server answers with errors, 429s, not at all, late, or drops the watches: nothing is claimed blindly, nothing
is created twice, and everything goes on when it is well again, without a restart.

KEDA takes a failed List for "nothing runs" and starts as many again; here no error ever becomes a number.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from support.controlplane import ControlPlane
from support.faultyapi import Asked, Fault, FaultyApi, faulty_api, through
from support.lives import ONE_RUN, life
from support.objects import QUEUE, Kubectl, paperqueue
from support.operator_process import OperatorProcess, operator_processes, until
from support.scripted_run import SCRIPTED_IMAGE
from support.testnode import TestNode
from support.tools import ROOT
from support.webapp import WebApp, WebAppError

TROUBLE_SECONDS: Final = 4.0

REQUESTS_A_SECOND: Final = 15.0
"""More than that while nothing can be done would be a busy loop, which makes hundreds. Two watches of ours and three of
kopf try every one or two seconds, at first faster; the election twice a second while it fears for its lease."""

pytestmark = pytest.mark.usefixtures("redis_client")


@pytest.fixture
def proxy(control_plane: ControlPlane) -> Iterator[FaultyApi]:
    """What stands between the operator and the API server; kubectl and the test node go past it."""
    with faulty_api(control_plane.kubeconfig) as running:
        yield running


@pytest.fixture
def operator(
    control_plane: ControlPlane,
    crds: None,
    kubectl: Kubectl,
    namespace: str,
    valkey_port: int,
    proxy: FaultyApi,
    tmp_path: Path,
) -> Iterator[OperatorProcess]:
    """One replica that reaches the API server through the proxy, and serves a queue of two slots."""
    kubectl("apply", "-f", str(ROOT / "crds" / "rbac" / "operator.yaml"))
    kubectl("apply", "-f", "-", stdin=paperqueue(concurrency=2))
    kubeconfig = through(proxy, control_plane.kubeconfig_of(namespace, "paperjobs-operator"))
    with operator_processes(tmp_path, kubeconfig, valkey_port, SCRIPTED_IMAGE) as start:
        replica = start()
        until(replica.ready)
        yield replica
        assert replica.process.poll() is None, "the operator ended"


def reads(asked: Asked) -> bool:
    """Lists and watches, but not the election's."""
    return asked.reads and not asked.about_leases


def everything(asked: Asked) -> bool:
    return True


BLIND: Final[dict[str, Callable[[FaultyApi], None]]] = {
    "lists and watches answer 500": lambda proxy: proxy.break_with(Fault(concerns=reads, answer=500)),
    "lists and watches answer 429": lambda proxy: proxy.break_with(Fault(concerns=reads, answer=429, retry_after="1")),
    "lists and watches never answer": lambda proxy: proxy.break_with(Fault(concerns=reads, hang=True)),
    "everything answers 503": lambda proxy: proxy.break_with(Fault(concerns=everything, answer=503)),
    "nobody listens": lambda proxy: proxy.refuse(),
}
"""The watches are dropped first, and cannot be had again."""


@pytest.mark.parametrize("trouble", BLIND)
async def test_an_operator_that_cannot_see_claims_nothing_and_goes_on_when_it_can(
    operator: OperatorProcess, proxy: FaultyApi, app: WebApp, test_node: TestNode, namespace: str, trouble: str
) -> None:
    runs_on = await app.add(QUEUE, {"seconds": 3})
    await asyncio.to_thread(test_node.wait_until_running, namespace)
    said_before, asked_before = len(operator.lines()), len(proxy.asked)

    await asyncio.to_thread(BLIND[trouble], proxy)
    await asyncio.to_thread(proxy.cut)
    await asyncio.sleep(0.5)
    waits = await app.add(QUEUE, {})
    await asyncio.sleep(TROUBLE_SECONDS)
    # A slot was free all the time, and the other's run has ended meanwhile.
    counts = await app.ask("counts", queue=QUEUE)
    assert (counts["active"], counts["waiting"], counts["completed"]) == (1, 1, 0)
    assert len(test_node.started_in(namespace)) == 1
    asked = proxy.asked[asked_before:]
    assert len(asked) < REQUESTS_A_SECOND * TROUBLE_SECONDS, Counter((one.method, one.path) for one in asked)
    assert_said_once(operator.lines()[said_before:])

    if trouble == "nobody listens":
        await asyncio.to_thread(proxy.listen)
    await asyncio.to_thread(proxy.heal)
    for job_id in (runs_on, waits):
        await app.wait(QUEUE, job_id, seconds=40)
        assert await life(app, test_node, namespace, QUEUE, job_id) == ONE_RUN


def assert_said_once(lines: list[dict[str, Any]]) -> None:
    """A change of state is worth one line, not one for every try."""
    said = Counter((line["logger"], line["message"].partition(":")[0]) for line in lines if line["level"] != "info")
    assert {what: count for what, count in said.items() if count > 1} == {}
    assert said, "trouble that nobody is told of"


def calls(asked: Asked) -> bool:
    """What is asked and answered: no watch, and not the election's."""
    return not asked.watch and not asked.about_leases


def writes(asked: Asked) -> bool:
    return calls(asked) and not asked.reads


def every(nth: int, concerns: Callable[[Asked], bool]) -> Callable[[Asked], bool]:
    """Every n-th of some requests, on average: not always the same one of what is asked in turns."""
    rng = random.Random(nth)
    return lambda asked: concerns(asked) and rng.random() * nth < 1


BAD: Final[dict[str, Callable[[], Fault]]] = {
    "every third request answers 500": lambda: Fault(concerns=every(3, calls), answer=500),
    "every third request answers 429": lambda: Fault(concerns=every(3, calls), answer=429, retry_after="1"),
    "every answer is late": lambda: Fault(concerns=lambda asked: not asked.about_leases, delay=0.4),
    "every second write is done, but its answer is lost": lambda: Fault(concerns=every(2, writes), lose_answer=True),
    "nothing else": lambda: Fault(concerns=lambda _: False),
}


@pytest.mark.parametrize("trouble", BAD)
async def test_with_connections_that_break_all_the_time_and_worse_each_job_still_has_one_run(
    operator: OperatorProcess, proxy: FaultyApi, app: WebApp, test_node: TestNode, namespace: str, trouble: str
) -> None:
    proxy.break_with(BAD[trouble]())
    most = Counter[str]()

    def count() -> None:
        most["running"] = max(most["running"], len(test_node.running(namespace)))

    with repeating(proxy.cut, 2.5), repeating(count, 0.01):
        job_ids = [await app.add(QUEUE, {"seconds": 0.3}, attempts=1) for _ in range(5)]
        for job_id in job_ids:
            await app.wait(QUEUE, job_id, seconds=90)
    for job_id in job_ids:
        assert await life(app, test_node, namespace, QUEUE, job_id) == ONE_RUN
    assert 0 < most["running"] <= 2


@contextmanager
def repeating(act: Callable[[], None], seconds: float) -> Iterator[None]:
    """Do something again and again beside the test."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(seconds):
            act()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def test_a_job_whose_run_was_deleted_while_the_operator_was_blind_runs_again_and_loses_no_attempt(
    operator: OperatorProcess, proxy: FaultyApi, app: WebApp, kubectl: Kubectl, test_node: TestNode, namespace: str
) -> None:
    job_id = await app.add(QUEUE, {"seconds": 4})
    [started] = await asyncio.to_thread(test_node.wait_until_running, namespace)
    await asyncio.to_thread(proxy.refuse)
    kubectl("delete", "job", started.job or "")
    await asyncio.to_thread(proxy.listen)
    await app.wait(QUEUE, job_id, seconds=40)
    again = replace(ONE_RUN, attempts_started=2, claims=2, runs=2)
    assert await life(app, test_node, namespace, QUEUE, job_id) == again


async def test_a_job_whose_paperjob_was_deleted_while_the_operator_was_blind_is_cancelled(
    operator: OperatorProcess, proxy: FaultyApi, app: WebApp, kubectl: Kubectl, test_node: TestNode, namespace: str
) -> None:
    job_id = await app.add(QUEUE, {"seconds": 30}, attempts=3)
    await asyncio.to_thread(test_node.wait_until_running, namespace)
    await asyncio.to_thread(proxy.refuse)
    kubectl("delete", "paperjobs", "--all")
    await asyncio.to_thread(proxy.listen)
    with pytest.raises(WebAppError, match="cancelled"):
        await app.wait(QUEUE, job_id, seconds=40)
    ended = replace(ONE_RUN, state="failed", ends=("failed",))
    assert await life(app, test_node, namespace, QUEUE, job_id) == ended
    assert test_node.running(namespace) == []
