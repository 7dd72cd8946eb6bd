"""The election: at most one replica acts at any moment, and never for long nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from paperjobs.kube.api import Api
from paperjobs.kube.lease import Elector, may_take
from support.fake_kube import FakeKube

PATH = "/apis/coordination.k8s.io/v1/namespaces/test/leases/operator"
SECONDS = 1.0


def lease(holder: str, seconds: int = 10) -> dict[str, Any]:
    return {"spec": {"holderIdentity": holder, "leaseDurationSeconds": seconds}}


@pytest.mark.parametrize(
    ("known", "silent_for", "free"),
    [
        # Held, and the holder was heard of within the duration that it promised.
        (lease("a"), 0.0, False),
        (lease("a"), 10.0, False),
        (lease("a"), 10.1, True),
        (lease("a", seconds=60), 59.0, False),
        # Given back, never held, or foreign rubbish.
        (lease(""), 0.0, True),
        ({"spec": {}}, 0.0, True),
        ({}, 0.0, True),
    ],
)
def test_a_lease_may_be_taken_when_it_is_free_or_silent(known: dict[str, Any], silent_for: float, free: bool) -> None:
    assert may_take(known, unchanged_since=100.0, now=100.0 + silent_for) is free


class Replica:
    """One replica: works when it leads."""

    def __init__(
        self, api: Api, name: str, work: Callable[[], Awaitable[None]] | None = None, seconds: float = SECONDS
    ) -> None:
        self.leads = False
        self.terms = 0
        self.answers: list[bool] = []
        self._work = work
        self.elector = Elector(api, name="operator", identity=name, seconds=seconds, beat=self.answers.append)

    async def run(self) -> None:
        while True:
            await self.elector.lead(self.work)

    async def work(self) -> None:
        self.leads = True
        self.terms += 1
        try:
            await (self._work() if self._work is not None else asyncio.Event().wait())
        finally:
            self.leads = False


@asynccontextmanager
async def running(replica: Replica) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(replica.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(check: Callable[[], bool], seconds: float = 5.0) -> float:
    """Seconds until the check held."""
    begun = asyncio.get_running_loop().time()
    async with asyncio.timeout(seconds):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return asyncio.get_running_loop().time() - begun


async def test_one_of_two_leads_and_keeps_leading(api: Api) -> None:
    first, second = Replica(api, "first"), Replica(api, "second")
    async with running(first):
        await until(lambda: first.leads)
        async with running(second):
            await asyncio.sleep(2.5 * SECONDS)
            assert (first.leads, first.terms, second.terms) == (True, 1, 0)


async def test_a_replica_that_stops_hands_over_at_once(api: Api) -> None:
    first, second = Replica(api, "first"), Replica(api, "second")
    async with running(first) as task:
        await until(lambda: first.leads)
        async with running(second):
            await asyncio.sleep(0.1)
            task.cancel()
            assert await until(lambda: second.leads) < 0.3 * SECONDS
            assert not first.leads


async def test_a_leader_that_dies_is_replaced_when_its_lease_is_silent(kube: FakeKube, api: Api) -> None:
    await kube.put(PATH, {"metadata": {"name": "operator"}, **lease("dead", seconds=1)})
    second = Replica(api, "second")
    async with running(second):
        waited = await until(lambda: second.leads)
    assert 0.9 < waited < 1.5
    assert kube.objects[PATH]["spec"]["leaseTransitions"] == 1


async def test_a_leader_renews_three_times_in_the_duration_of_its_lease(kube: FakeKube, api: Api) -> None:
    replica = Replica(api, "first")
    async with running(replica):
        await until(lambda: replica.leads)
        kube.requests.clear()
        await asyncio.sleep(2 * SECONDS)
        assert 2 <= len(kube.requests) <= 6


async def test_a_renewal_that_hangs_is_tried_again_before_the_leader_has_to_stop(kube: FakeKube, api: Api) -> None:
    replica = Replica(api, "first", seconds=3.0)
    async with running(replica):
        await until(lambda: replica.leads)
        kube.hanging = True
        await until(lambda: replica.answers[-1] is False)
        kube.hanging = False
        await until(lambda: replica.answers[-1] is True)
        assert (replica.leads, replica.terms) == (True, 1)


@pytest.mark.parametrize("fault", ["hangs", "fails"])
async def test_a_leader_that_cannot_renew_stops_before_another_may_begin(kube: FakeKube, api: Api, fault: str) -> None:
    replica = Replica(api, "first")
    async with running(replica):
        await until(lambda: replica.leads)
        if fault == "hangs":
            kube.hanging = True
        else:
            kube.answer = (503, {"message": "away"})
        assert await until(lambda: not replica.leads) < SECONDS
        kube.hanging, kube.answer = False, None


async def test_after_an_outage_the_last_leader_need_not_wait_for_itself(kube: FakeKube, api: Api) -> None:
    replica = Replica(api, "first")
    async with running(replica):
        await until(lambda: replica.leads)
        kube.answer = (503, {"message": "away"})
        await until(lambda: not replica.leads)
        assert replica.answers[-1] is False
        kube.answer = None
        assert await until(lambda: replica.leads) < 0.8 * SECONDS
        assert replica.answers[-1] is True


async def test_a_leader_whose_lease_was_taken_stops_at_its_next_renewal(kube: FakeKube, api: Api) -> None:
    replica = Replica(api, "first")
    async with running(replica):
        await until(lambda: replica.leads)
        await kube.put(PATH, {"metadata": {"name": "operator"}, **lease("thief")})
        assert await until(lambda: not replica.leads) < 0.55 * SECONDS
        assert kube.objects[PATH]["spec"]["holderIdentity"] == "thief"


async def test_a_leader_whose_answer_got_lost_goes_on(kube: FakeKube, api: Api) -> None:
    replica = Replica(api, "first")
    async with running(replica):
        await until(lambda: replica.leads)
        await kube.put(PATH, kube.objects[PATH])  # the renewal arrived, its answer did not
        await asyncio.sleep(1.5 * SECONDS)
        assert (replica.leads, replica.terms) == (True, 1)


async def test_another_process_of_the_same_name_is_another_replica(kube: FakeKube, api: Api) -> None:
    first, twin = Replica(api, "same"), Replica(api, "same")
    async with running(first):
        await until(lambda: first.leads)
        async with running(twin):
            await asyncio.sleep(0.6 * SECONDS)
            assert (first.leads, twin.leads) == (True, False)


async def test_what_the_work_raises_is_raised_and_the_lease_given_back(kube: FakeKube, api: Api) -> None:
    async def fail() -> None:
        raise RuntimeError("broken")

    replica = Replica(api, "first", fail)
    with pytest.raises(RuntimeError, match="broken"):
        await replica.run()
    assert kube.objects[PATH]["spec"]["holderIdentity"] == ""


async def test_the_lease_is_renewed_while_the_work_still_stops(kube: FakeKube, api: Api) -> None:
    async def stop_slowly() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1.2 * SECONDS)

    first, second = Replica(api, "first", stop_slowly), Replica(api, "second")
    async with running(first) as task:
        await until(lambda: first.leads)
        async with running(second):
            task.cancel()
            while first.leads:
                assert not second.leads
                await asyncio.sleep(0.01)
            await until(lambda: second.leads)


async def test_every_replica_and_term_of_one_lease_knows_it_by_the_same_uid(kube: FakeKube, api: Api) -> None:
    known: list[str] = []
    terms: list[int] = []
    for name in ("a", "b", "a"):
        elector = Elector(api, name="operator", identity=name, seconds=SECONDS, beat=lambda _: None)

        async def work(elector: Elector = elector) -> None:
            known.append(elector.lease_uid)
            terms.append(elector.term)
            assert elector.holds

        await elector.lead(work)
        assert elector.lease_uid == "", "it is held no more"
        assert not elector.holds
    assert known == [kube.objects[PATH]["metadata"]["uid"]] * 3
    assert terms == [0, 1, 2], "a later term can be told from an earlier one"


async def test_a_leader_that_was_paused_past_its_deadline_knows_it_before_its_loop_does(api: Api) -> None:
    elector = Elector(api, name="operator", identity="a", seconds=SECONDS, beat=lambda _: None)
    seen: list[bool] = []

    async def work() -> None:
        seen.append(elector.holds)
        time.sleep(SECONDS)  # noqa: ASYNC251  # as under SIGSTOP: the loop does not turn
        seen.append(elector.holds)

    await elector.lead(work)
    assert seen == [True, False]
