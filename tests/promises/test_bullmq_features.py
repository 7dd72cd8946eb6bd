"""Priority, delayed, paused, deduplicated, flow parent/child, scheduler-born jobs produced by npm bullmq 5 and 6: each
ends exactly once, as the web app expects it of a BullMQ worker.

The npm client produces and observes, the real engine starts the runs on a cluster in memory. Beside this,
`tests/integration/bullmq/test_parity.py` compares key by key with what a stock worker leaves behind.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from paperjobs.model import QueueSettings, RateLimit
from paperjobs.settings import RedisSettings
from support.scripted import completes, fails, never, rate_limited, script
from support.served_queue import ServedQueue, served_queue
from support.webapp import WebApp, WebAppError, web_app

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIXED = {"type": "fixed", "delay": 150}


@pytest_asyncio.fixture(params=[5, 6], scope="module", loop_scope="module")
async def web(request: pytest.FixtureRequest, node: Path, webapp_dir: Path, valkey_port: int) -> AsyncIterator[WebApp]:
    """The npm client of the major version before and of the current one; one process for all tests, to be quick."""
    async with web_app(node, webapp_dir, valkey_port, bullmq=request.param) as app:
        yield app


@pytest_asyncio.fixture(loop_scope="module")
async def queue(request: pytest.FixtureRequest, web: WebApp, valkey_port: int) -> AsyncIterator[ServedQueue]:
    """A queue of the test's own: the npm client remembers what it once wrote about one."""
    async with served_queue(queue_name(request), web, RedisSettings(host="127.0.0.1", port=valkey_port)) as served:
        yield served


# --- order


async def test_priorities_decide_the_order_and_equal_ones_keep_theirs(queue: ServedQueue) -> None:
    ids = {n: await queue.add(completes(), **opts) for n, opts in enumerate([{"priority": p} for p in (9, 2, 2, 1)])}
    none = await queue.add(completes())
    moved = await queue.add(completes(), priority=20)
    await queue.ask("changePriority", jobId=moved, priority=3)

    queue.serve()

    ends = await queue.idle()
    assert queue.launched == [none, ids[3], ids[1], ids[2], moved, ids[0]]
    assert set(ends.values()) == {"completed"}


async def test_lifo_jobs_come_first_the_newest_at_the_front(queue: ServedQueue) -> None:
    first = await queue.add(completes())
    second, third = [await queue.add(completes(), lifo=True) for _ in range(2)]

    queue.serve()

    await queue.idle()
    assert queue.launched == [third, second, first]


# --- time


async def test_delayed_jobs_start_when_they_are_due_and_not_before(queue: ServedQueue) -> None:
    queue.serve()
    late = await queue.add(completes(), delay=700)
    soon = await queue.add(completes(), delay=300, priority=4)
    added = time.monotonic()

    await queue.until_launched(1)
    assert 0.25 < time.monotonic() - added < 0.6
    await queue.idle()
    assert queue.launched == [soon, late]
    assert time.monotonic() - added > 0.65


async def test_delayed_jobs_that_the_app_promotes_start_at_once(queue: ServedQueue) -> None:
    queue.serve(concurrency=3)
    one, *others = [await queue.add(completes(), delay=60_000) for _ in range(3)]

    await queue.ask("promote", jobId=one)
    await queue.until_launched(1, seconds=2)
    await queue.ask("promoteJobs")

    assert await queue.idle(seconds=3) == dict.fromkeys([one, *others], "completed")


async def test_a_scheduler_makes_each_iteration_once_and_stops_at_its_limit(queue: ServedQueue) -> None:
    queue.serve()
    template = {"name": "nightly", "data": script(completes()), "opts": {}}
    repeat = {"every": 200, "limit": 4}
    await queue.ask("upsertJobScheduler", schedulerId="often", repeat=repeat, template=template)

    await queue.until_launched(4)
    await asyncio.sleep(0.6)

    ends = await queue.ends()
    assert len(queue.launched) == len(set(queue.launched)) == 4
    assert ends == dict.fromkeys(queue.launched, "completed")


async def test_a_scheduler_with_a_cron_pattern_goes_on_after_failures_until_it_is_removed(queue: ServedQueue) -> None:
    queue.serve()
    template = {"name": "nightly", "data": script(fails("no")), "opts": {"attempts": 1}}
    repeat = {"pattern": "* * * * * *", "tz": "Europe/Rome"}
    await queue.ask("upsertJobScheduler", schedulerId="cron", repeat=repeat, template=template)

    await queue.until_launched(2)
    (scheduler,) = await queue.ask("jobSchedulers")
    assert scheduler["key"] == "cron"
    assert await queue.ask("removeJobScheduler", schedulerId="cron")

    await queue.idle()
    seen = len(queue.launched)
    await asyncio.sleep(1.2)
    assert len(queue.launched) == seen
    assert await queue.ends() == dict.fromkeys(queue.launched, "failed")


async def test_jobs_that_version_5_repeats_in_its_old_way_keep_their_data(
    queue: ServedQueue, request: pytest.FixtureRequest
) -> None:
    """Version 6 has schedulers only, and takes such a job as one without a schedule."""
    queue.serve()
    await queue.add(completes({"n": 1}), repeat={"every": 200, "limit": 3})
    expected = 3 if request.node.callspec.params["web"] == 5 else 1

    await queue.until_launched(expected)
    await asyncio.sleep(0.5)
    assert len(queue.launched) == len(set(queue.launched)) == expected
    assert await queue.ends() == dict.fromkeys(queue.launched, "completed")
    assert [job.data for _, job in queue.cluster.launched] == [
        json.dumps(script(completes({"n": 1})), separators=(",", ":"))
    ] * expected


# --- attempts


@pytest.mark.parametrize(
    ("backoff", "pauses"),
    [
        (None, [(0.0, 0.15), (0.0, 0.15)]),
        (FIXED, [(0.15, 0.45), (0.15, 0.45)]),
        ({"type": "exponential", "delay": 150}, [(0.15, 0.45), (0.3, 0.6)]),
        ({"type": "fixed", "delay": 300, "jitter": 0.5}, [(0.15, 0.6), (0.15, 0.6)]),
    ],
    ids=["none", "fixed", "exponential", "jitter"],
)
async def test_failed_jobs_are_tried_again_after_the_backoff_that_the_producer_set(
    queue: ServedQueue, backoff: Any, pauses: list[tuple[float, float]]
) -> None:
    queue.serve()
    opts = {"backoff": backoff} if backoff else {}
    job_id = await queue.add(fails("a"), fails("b"), completes({"n": 3}), attempts=3, **opts)

    assert await queue.web.wait(queue.name, job_id) == {"n": 3}
    at = queue.cluster.launched_at
    for (least, most), pause in zip(pauses, [at[1] - at[0], at[2] - at[1]], strict=True):
        assert least <= pause < most
    job = await queue.inspect(job_id)
    assert (job["attemptsMade"], job["attemptsStarted"], len(job["stacktrace"])) == (3, 3, 2)


async def test_a_backoff_that_only_the_apps_own_workers_know_becomes_the_queues_default(queue: ServedQueue) -> None:
    queue.serve()
    job_id = await queue.add(fails("a"), completes({"n": 2}), attempts=2, backoff={"type": "fibonacci", "delay": 9})

    assert await queue.web.wait(queue.name, job_id) == {"n": 2}


async def test_permanent_failures_and_last_attempts_fail_with_their_reason(queue: ServedQueue) -> None:
    queue.serve()
    permanent = await queue.add(never("not an arXiv address"), attempts=5)
    last = await queue.add(fails("a"), fails("arXiv answered 500"), attempts=2)

    for job_id, reason, runs in ((permanent, "not an arXiv address", 1), (last, "arXiv answered 500", 2)):
        with pytest.raises(WebAppError, match=reason):
            await queue.web.wait(queue.name, job_id)
        assert (await queue.inspect(job_id))["failedReason"] == reason
        assert queue.cluster.runs_of(job_id) == runs


async def test_a_rate_limited_run_costs_no_attempt(queue: ServedQueue) -> None:
    queue.serve()
    job_id = await queue.add(rate_limited(), rate_limited(), completes({"n": 3}), attempts=1)

    assert await queue.web.wait(queue.name, job_id) == {"n": 3}
    job = await queue.inspect(job_id)
    assert (job["attemptsMade"], job["attemptsStarted"]) == (1, 3)


async def test_failed_jobs_that_the_app_retries_run_again(queue: ServedQueue) -> None:
    queue.serve(concurrency=3)
    one = await queue.add(fails("a"), completes())
    two = await queue.add(fails("b"), completes())
    await queue.idle()

    await queue.ask("retry", jobId=one)
    await queue.until_launched(3)
    await queue.ask("retryJobs", state="failed")

    await queue.until_launched(4)
    for job_id in (one, two):
        await queue.until(lambda job_id=job_id: _is(queue, job_id, "completed"), f"job {job_id} completes")  # type: ignore[misc]
        assert queue.cluster.runs_of(job_id) == 2


# --- flows


def child(queue: str, name: str, *steps: Any, children: list[Any] | None = None, **opts: Any) -> dict[str, Any]:
    """A node of a flow, named by its job id."""
    own = {"name": name, "queueName": queue, "data": script(*steps), "opts": {"jobId": name, **opts}}
    return {**own, "children": children} if children else own


async def test_a_flow_of_three_levels_over_two_queues_runs_from_the_leaves_up(queue: ServedQueue) -> None:
    other = f"{queue.name}-other"
    queue.serve(QueueSettings(name="other", queue=other, pipeline="x", concurrency=2))
    leaves = [child(other, f"leaf{n}", completes({"n": n}, ms=20 * n)) for n in (1, 2, 3)]
    middle = child(other, "middle", fails("once"), completes({"sum": 6}), children=leaves, attempts=2)
    await queue.web.ask("addFlow", flow=child(queue.name, "root", completes({"all": True}), children=[middle]))

    assert await queue.web.wait(queue.name, "root") == {"all": True}
    assert sorted(queue.launched[:3]) == ["leaf1", "leaf2", "leaf3"]
    assert queue.launched[3:] == ["middle", "middle", "root"]
    seen = await queue.web.ask("children", queue=other, jobId="middle")
    assert seen["values"] == {f"bull:{other}:leaf{n}": {"n": n} for n in (1, 2, 3)}


async def test_a_failed_leaf_fails_all_its_ancestors_and_none_of_them_runs(queue: ServedQueue) -> None:
    queue.serve()
    leaf = child(queue.name, "leaf", fails("no PDF"), failParentOnFailure=True)
    middle = child(queue.name, "middle", completes(), children=[leaf], failParentOnFailure=True)
    await queue.web.ask("addFlow", flow=child(queue.name, "root", completes(), children=[middle]))

    with pytest.raises(WebAppError, match=f"child bull:{queue.name}:middle failed"):
        await queue.web.wait(queue.name, "root")
    assert await queue.idle() == dict.fromkeys(["leaf", "middle", "root"], "failed")
    assert queue.launched == ["leaf"]


@pytest.mark.parametrize(
    ("option", "root_sees_failure"),
    [("ignoreDependencyOnFailure", True), ("removeDependencyOnFailure", False)],
)
async def test_a_parent_that_does_without_a_failed_child_runs_after_the_others(
    queue: ServedQueue, option: str, root_sees_failure: bool
) -> None:
    queue.serve()
    bad: dict[str, Any] = {option: True}
    children = [
        child(queue.name, "bad", fails("no"), **bad),
        child(queue.name, "good", completes({"n": 1}, ms=50)),
    ]
    await queue.web.ask("addFlow", flow=child(queue.name, "root", completes({"all": True}), children=children))

    assert await queue.web.wait(queue.name, "root") == {"all": True}
    assert queue.launched[-1] == "root"
    assert await queue.idle() == {"bad": "failed", "good": "completed", "root": "completed"}
    seen = await queue.ask("children", jobId="root")
    assert seen["values"] == {f"bull:{queue.name}:good": {"n": 1}}
    assert seen["ignored"] == ({f"bull:{queue.name}:bad": "no"} if root_sees_failure else {})


async def test_a_parent_that_continues_on_failure_starts_at_once(queue: ServedQueue) -> None:
    queue.serve()
    children = [
        child(queue.name, "bad", fails("no"), continueParentOnFailure=True),
        child(queue.name, "slow", completes(), delay=60_000),
    ]
    await queue.web.ask("addFlow", flow=child(queue.name, "root", completes({"early": True}), children=children))

    await queue.until_launched(2)
    assert queue.launched == ["bad", "root"]


# --- deduplication


async def test_a_paper_that_waits_or_runs_is_not_queued_again(queue: ServedQueue) -> None:
    once = {"deduplication": {"id": "paper-1"}}
    first = await queue.add(completes(ms=200), **once)
    assert await queue.add(completes(), **once) == first
    queue.serve()
    await queue.until_launched(1)
    assert await queue.add(completes(), **once) == first
    await queue.idle()

    assert await queue.add(completes(), **once) != first
    assert len(await queue.idle()) == 2


async def test_throttled_jobs_are_left_out_for_their_time_although_the_first_is_done(queue: ServedQueue) -> None:
    queue.serve()
    throttle = {"deduplication": {"id": "paper-1", "ttl": 800}}
    first = await queue.add(completes(), **throttle)
    await queue.idle()
    assert await queue.add(completes(), **throttle) == first

    await asyncio.sleep(0.9)
    assert await queue.add(completes(), **throttle) != first
    assert len(await queue.idle()) == 2


async def test_debounced_jobs_run_once_with_the_newest_data(queue: ServedQueue) -> None:
    queue.serve()
    debounce = {"deduplication": {"id": "paper-1", "ttl": 400, "extend": True, "replace": True}, "delay": 400}
    ids = []
    for number in range(3):
        ids.append(await queue.add(completes({"version": number}), **debounce))
        await asyncio.sleep(0.1)

    await queue.until_launched(1)
    assert await queue.web.wait(queue.name, queue.launched[0]) == {"version": 2}
    await asyncio.sleep(0.5)
    assert len(queue.launched) == 1


async def test_the_newest_job_that_came_during_a_run_is_kept_for_afterwards(queue: ServedQueue) -> None:
    queue.serve()
    keep = {"deduplication": {"id": "paper-1", "keepLastIfActive": True}}
    first = await queue.add(completes({"version": 0}, ms=300), **keep)
    await queue.until_launched(1)
    for number in (1, 2):
        await queue.add(completes({"version": number}), **keep)

    await queue.until_launched(2)
    second = queue.launched[1]
    assert second != first
    assert await queue.web.wait(queue.name, second) == {"version": 2}
    assert len(await queue.idle()) == 2


# --- ids, prefixes and what is kept


IDS = [
    "paper $(REDIS_PASSWORD) `id`",
    "Łódź-☃-\U0001f600",
    " ../math.GT/0309136 ",
    "a:b:c",
    "{tag}*?[x]\\",
    "two\nlines\r",
    "%2F?#&=+",
    "x" * 500,
]


async def test_job_ids_of_any_text_run_and_end_once(queue: ServedQueue) -> None:
    queue.serve(concurrency=4)
    for job_id in IDS:
        assert await queue.add(completes({"id": job_id}), jobId=job_id) == job_id

    for job_id in IDS:
        assert await queue.web.wait(queue.name, job_id) == {"id": job_id}
    assert await queue.idle() == dict.fromkeys(IDS, "completed")
    assert sorted(queue.launched) == sorted(IDS)


async def test_a_prefix_with_a_hash_tag_keeps_every_key_in_one_slot(
    node: Path, webapp_dir: Path, valkey_port: int, web: WebApp, request: pytest.FixtureRequest
) -> None:
    """As Redis Cluster wants it. All keys of a queue begin with the prefix, our own too."""
    name, version = queue_name(request), request.node.callspec.params["web"]
    redis = RedisSettings(host="127.0.0.1", port=valkey_port)
    async with web_app(node, webapp_dir, valkey_port, bullmq=version, prefix="{bull}") as tagged:
        async with served_queue(name, tagged, redis) as queue:
            queue.serve(prefix="{bull}", rate_limit=RateLimit(max=10, per_ms=1000))
            job_id = await queue.add(fails("a"), completes({"n": 1}), attempts=2)
            assert await tagged.wait(name, job_id) == {"n": 1}
        async with Redis(port=valkey_port, decode_responses=True) as client:
            keys = [key async for key in client.scan_iter(match=f"*{name}*")]
    assert any("paperjobs:starts" in key for key in keys)
    assert {key.startswith("{bull}:") for key in keys} == {True}


async def test_finished_jobs_are_kept_as_the_producer_said(queue: ServedQueue) -> None:
    queue.serve()
    gone = await queue.add(completes(), removeOnComplete=True)
    failed = await queue.add(fails("no"), removeOnFail=True)
    counted = [await queue.add(completes(), removeOnComplete={"age": 3600, "count": 2}) for _ in range(4)]

    assert len(await queue.idle()) == 6
    for job_id in (gone, failed, *counted[:2]):
        assert await queue.web.inspect(queue.name, job_id) is None
    assert await queue.ask("jobIds", state="completed") == counted[2:]


# --- the app steers


async def test_a_paused_queue_starts_nothing_and_runs_that_go_on_are_finished(queue: ServedQueue) -> None:
    queue.serve(concurrency=2)
    running = await queue.add(completes(ms=300))
    returned = await queue.add(rate_limited(ms=300), completes())
    waiting = await queue.add(completes())
    await queue.until_launched(2)
    await queue.ask("pause")
    prioritized = await queue.add(completes(), priority=1)
    await queue.until(lambda: _is(queue, running, "completed"), "the running job completes")
    await asyncio.sleep(0.4)
    assert len(queue.launched) == 2
    assert queue.bench.log.statuses[-1].reason == "Paused"

    await queue.ask("resume")
    assert await queue.idle(seconds=5) == dict.fromkeys([running, returned, waiting, prioritized], "completed")


async def test_a_rate_limit_of_the_moment_holds_the_queue(queue: ServedQueue) -> None:
    queue.serve(rate_limit=RateLimit(max=100, per_ms=1000))
    await queue.add(completes())
    await queue.idle()
    await queue.ask("rateLimit", ms=700)
    asked = time.monotonic()
    await queue.add(completes())

    await queue.until_launched(2)
    assert 0.6 < time.monotonic() - asked < 1.5


async def test_a_lower_rate_that_the_app_sets_counts_and_a_higher_one_does_not(queue: ServedQueue) -> None:
    await queue.ask("setGlobalRateLimit", max=2, durationMs=60_000)
    for _ in range(6):
        await queue.add(completes())
    queue.serve(concurrency=9, rate_limit=RateLimit(max=3, per_ms=1500))
    await queue.until_launched(2)
    await asyncio.sleep(0.4)
    assert len(queue.launched) == 2
    assert "the app's own" in queue.bench.log.statuses[-1].message

    await queue.ask("setGlobalRateLimit", max=1000, durationMs=1000)
    await queue.idle()
    at = queue.cluster.launched_at
    assert all(at[n + 3] - at[n] > 1.4 for n in range(3))


async def test_a_lower_concurrency_that_the_app_sets_counts_and_a_higher_one_does_not(queue: ServedQueue) -> None:
    for _ in range(6):
        await queue.add(completes(ms=150))
    await queue.ask("setGlobalConcurrency", concurrency=1)
    queue.serve(concurrency=3)
    await queue.until_launched(2)
    assert queue.cluster.most_live == 1

    await queue.ask("setGlobalConcurrency", concurrency=50)
    await queue.idle()
    assert queue.cluster.most_live <= 3


async def test_drained_jobs_never_run_and_the_running_one_is_finished(queue: ServedQueue) -> None:
    queue.serve()
    running = await queue.add(completes(ms=300))
    for opts in ({}, {"priority": 2}, {"delay": 300}):
        await queue.add(completes(), **opts)
    await queue.until_launched(1)

    await queue.ask("drain", delayed=True)

    assert await queue.idle() == {running: "completed"}
    assert queue.launched == [running]


async def test_an_obliterated_queue_loses_its_runs_and_serves_new_jobs(queue: ServedQueue) -> None:
    queue.serve(concurrency=2, rate_limit=RateLimit(max=100, per_ms=60_000))
    for _ in range(4):
        await queue.add(completes(ms=60_000))
    await queue.until_launched(2)

    await queue.ask("pause")
    await queue.ask("obliterate", force=True)
    await queue.bench.until(lambda: not queue.cluster.existing, "the runs are removed")

    await queue.ask("resume")
    job_id = await queue.add(completes({"new": True}), jobId="new")
    assert await queue.web.wait(queue.name, job_id) == {"new": True}
    assert queue.launched.count("new") == 1


async def test_a_running_job_cannot_be_removed_as_with_a_bullmq_worker(queue: ServedQueue) -> None:
    queue.serve()
    job_id = await queue.add(completes({"done": True}, ms=300))
    await queue.until_launched(1)

    assert await queue.ask("remove", jobId=job_id) == 0
    assert await queue.web.wait(queue.name, job_id) == {"done": True}


def queue_name(request: pytest.FixtureRequest) -> str:
    """The test's own name, without what has a meaning in patterns."""
    return re.sub(r"\W+", "-", request.node.name)


async def _is(queue: ServedQueue, job_id: str, state: str) -> bool:
    found = await queue.web.inspect(queue.name, job_id)
    return found is not None and found["state"] == state
