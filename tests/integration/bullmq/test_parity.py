"""What a job leaves behind after PaperJobs ran it is what a stock BullMQ worker leaves behind.

Each kind of job is queued twice by the npm client: on one queue the stock TypeScript worker runs it, on the other our
adapter claims and finishes it. Then the npm client must see the same jobs and the same events, and Redis must hold
the same keys; only times, the worker's name and the text of stack traces may differ.

One event differs by BullMQ's own doing: a worker that takes its next job in the step that finishes the last one does
not tell `drained` while jobs are delayed, one that does not (a busy stock worker, or ours) does.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from paperjobs.bullmq.jobqueue import BullmqJobQueue
from paperjobs.model import QueueSettings
from paperjobs.settings import RedisSettings
from support.redis_picture import picture, timeless
from support.scripted import Step, completes, fails, never, rate_limited, run_with_ours, run_with_the_oracle, script
from support.webapp import WebApp, web_app

Produce = Callable[[WebApp, str], Awaitable[object]]

FIXED = {"type": "fixed", "delay": 60}
EXPONENTIAL = {"type": "exponential", "delay": 40}
DRAINED = {"event": "drained"}


@dataclass(frozen=True)
class Seen:
    """Everything that can be seen of a queue from outside."""

    runs: list[str]
    jobs: dict[str, Any]
    events: list[Any]
    counts: dict[str, int]
    keys: dict[str, Any]


def one(*steps: Step, **opts: Any) -> Produce:
    """One job that does these steps."""

    async def produce(web: WebApp, queue: str) -> None:
        await web.add(queue, script(*steps), **opts)

    return produce


def several(*jobs: tuple[Step, dict[str, Any]]) -> Produce:
    """Several jobs, queued one after the other: (step, options)."""

    async def produce(web: WebApp, queue: str) -> None:
        for step, opts in jobs:
            await web.add(queue, script(step), **opts)

    return produce


def flow(parent: Step, *children: tuple[Sequence[Step], dict[str, Any]], **opts: Any) -> Produce:
    """A parent that runs after its children: (steps, options) of each."""

    async def produce(web: WebApp, queue: str) -> None:
        tree = {
            "name": "parent",
            "queueName": queue,
            "data": script(parent),
            "opts": {"jobId": "parent", **opts},
            "children": [
                {
                    "name": "child",
                    "queueName": queue,
                    "data": script(*steps),
                    "opts": {"jobId": f"child-{number}", **child},
                }
                for number, (steps, child) in enumerate(children)
            ],
        }
        await web.ask("addFlow", flow=tree)

    return produce


def scheduled(step: Step, **repeat: Any) -> Produce:
    """Jobs that a job scheduler makes, one after the other."""

    async def produce(web: WebApp, queue: str) -> None:
        template = {"name": "nightly", "data": script(step), "opts": {"attempts": 2}}
        await web.ask("upsertJobScheduler", queue=queue, schedulerId="nightly", repeat=repeat, template=template)

    return produce


NESTED = {"institutions": [{"name": "Università di Pisa", "authors": ["Ł. Kaiser"]}], "ok": True, "share": 0.25, "n": 0}

KINDS: dict[str, Produce] = {
    "a plain job": one(completes({"institutions": 3})),
    "a result of nothing": one(completes(None)),
    "an empty result": one(completes({})),
    "a nested result with accents": one(completes(NESTED)),
    "a result with quotes and control characters": one(completes({'"a\\': "\u0000\n\u2028\U0001f600"})),
    "a result with a lone surrogate": one(completes({"title": "\ud800"})),
    "a job whose only attempt fails": one(fails("arXiv does not know this paper")),
    "a failure without a message": one(fails("Error"), attempts=1),
    "a failure message with accents and newlines": one(fails("Müller:\n\tnot found ☃ \U0001f600")),
    "a failure message with half a surrogate pair": one(fails("not \ud800 text")),
    "retries at once": one(fails("first"), completes({"n": 2}), attempts=3),
    "retries with fixed backoff": one(fails("a"), fails("b"), completes({"n": 3}), attempts=3, backoff=FIXED),
    "backoff given as a number": one(fails("a"), completes(), attempts=2, backoff=50),
    "retries with exponential backoff": one(
        fails("a"), fails("b"), fails("c"), completes(), attempts=4, backoff=EXPONENTIAL
    ),
    "the last attempt fails too": one(fails("a"), fails("b"), attempts=2, backoff=FIXED),
    "fails for good although attempts are left": one(never("not an arXiv address"), attempts=5, backoff=FIXED),
    "fails for good at the second attempt": one(fails("a"), never("b"), attempts=5),
    "a short memory of stack traces": one(fails("a"), fails("b"), fails("c"), attempts=3, stackTraceLimit=2),
    "no memory of stack traces": one(fails("a"), fails("b"), attempts=2, stackTraceLimit=0),
    "a retry that goes to the front": several(
        (fails("a"), {"attempts": 2, "lifo": True}), (completes(), {}), (fails("b"), {"attempts": 2, "lifo": True})
    ),
    "priorities": several(
        (completes(), {"priority": 9}),
        (completes(), {"priority": 2}),
        (completes(), {}),
        (completes(), {"priority": 2}),
        (completes(), {"priority": 1}),
    ),
    "a prioritized job that fails and is tried again": one(fails("a"), completes(), attempts=2, priority=7),
    "a prioritized job with backoff": one(fails("a"), completes(), attempts=2, priority=7, backoff=FIXED),
    "last in, first out": several((completes(), {}), (completes(), {"lifo": True}), (completes(), {"lifo": True})),
    "a delayed job": several((completes(), {"delay": 250}), (completes(), {}), (completes(), {"delay": 120})),
    "a delayed job with a priority": several((completes(), {"delay": 150, "priority": 3}), (completes(), {})),
    "custom ids": several((completes(), {"jobId": "paper-1"}), (fails("x"), {"jobId": "Paper/2?é ☃"})),
    "one id queued twice": several((completes({"n": 1}), {"jobId": "same"}), (completes({"n": 2}), {"jobId": "same"})),
    "deduplicated until it is finished": several(
        (completes({"n": 1}), {"deduplication": {"id": "paper"}}), (completes(), {"deduplication": {"id": "paper"}})
    ),
    "deduplicated and failing": several(
        (fails("a"), {"deduplication": {"id": "paper"}}), (completes(), {"deduplication": {"id": "paper"}})
    ),
    "deduplicated for a while": several(
        (completes(), {"deduplication": {"id": "paper", "ttl": 60_000}}),
        (completes(), {"deduplication": {"id": "paper", "ttl": 60_000}}),
    ),
    "a parent and its children": flow(completes({"sum": 3}), ([completes({"n": 1})], {}), ([completes({"n": 2})], {})),
    "a child that is tried again": flow(completes(), ([fails("a"), completes({"n": 2})], {"attempts": 2})),
    "a failed child that the parent is told of": flow(
        completes(), ([fails("no")], {"ignoreDependencyOnFailure": True}), ([completes()], {})
    ),
    "a child whose failure fails the parent": flow(
        completes(), ([fails("no")], {"failParentOnFailure": True}), ([completes({"n": 2})], {})
    ),
    "a child whose failure fails a parent that has attempts left": flow(
        completes(), ([fails("a"), never("no")], {"failParentOnFailure": True, "attempts": 3}), attempts=3
    ),
    "a child whose failure the parent does without": flow(
        completes(), ([fails("no")], {"removeDependencyOnFailure": True}), ([completes({"n": 2})], {})
    ),
    "a child whose failure lets the parent start": flow(
        completes(), ([fails("no")], {"continueParentOnFailure": True})
    ),
    "a child that is removed when done": flow(completes(), ([completes({"n": 1})], {"removeOnComplete": True})),
    "a parent that fails": flow(fails("no"), ([completes()], {})),
    "a parent with a priority": flow(completes(), ([completes()], {"priority": 5}), ([completes()], {}), priority=2),
    "removed when completed": several(
        (completes(), {"removeOnComplete": True}), (fails("a"), {"removeOnComplete": True})
    ),
    "removed when failed": several((fails("a"), {"removeOnFail": True}), (completes(), {"removeOnFail": True})),
    "kept when completed": one(completes(), removeOnComplete=False),
    "the last two completed are kept": several(*[(completes(), {"removeOnComplete": 2})] * 4),
    "none completed is kept": several(*[(completes(), {"removeOnComplete": 0})] * 2),
    "the last two failed are kept": several(*[(fails("a"), {"removeOnFail": 2})] * 4),
    "a count of completed jobs is kept": several(*[(completes(), {"removeOnComplete": {"count": 1}})] * 3),
    "an age of completed jobs is kept": several(*[(completes(), {"removeOnComplete": {"age": 3600}})] * 2),
    "an age and a count of failed jobs is kept": several(
        *[(fails("a"), {"removeOnFail": {"age": 60, "count": 1}})] * 3
    ),
    "a removed job with logs": one(completes(logs=["a", "b"]), removeOnComplete=True),
    "progress and logs": one(completes(progress=[10, {"step": "pdf", "percent": 40}, "text"], logs=["one", "zwei ☃"])),
    "few log lines are kept": one(completes(logs=["one", "two", "three"]), keepLogs=2),
    "progress of a run that fails": one(fails("a", progress=[50], logs=["x"]), completes(progress=[100]), attempts=2),
    "returned by a rate limit": one(rate_limited(), completes({"n": 2}), attempts=1),
    "returned by rate limits before it fails": one(rate_limited(), rate_limited(), fails("a"), completes(), attempts=2),
    "a prioritized job returned by a rate limit": one(rate_limited(), completes(), priority=3),
    "a scheduler's jobs": scheduled(completes({"n": 1}), every=400, limit=3),
    "a scheduler's jobs that fail": scheduled(fails("a"), every=400, limit=2),
}


@pytest_asyncio.fixture(params=[5, 6], scope="module", loop_scope="module")
async def web(request: pytest.FixtureRequest, node: Path, webapp_dir: Path, valkey_port: int) -> AsyncIterator[WebApp]:
    """The npm client, of the major version before and of the current one; one process for all kinds, to be quick."""
    async with web_app(node, webapp_dir, valkey_port, bullmq=request.param) as app:
        yield app


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", KINDS)
async def test_npm_client_sees_what_a_stock_worker_would_have_left(web: WebApp, valkey_port: int, kind: str) -> None:
    async with Redis(host="127.0.0.1", port=valkey_port, decode_responses=True) as redis:
        await redis.flushall()
        # Queues of their own for each kind: the npm client remembers what it once wrote about a queue.
        theirs, ours = (f"{whose}{list(KINDS).index(kind)}" for whose in ("theirs", "ours"))
        await KINDS[kind](web, theirs)
        oracle = await see(web, redis, theirs, await run_with_the_oracle(web, theirs))

        await KINDS[kind](web, ours)
        settings = QueueSettings(name="ours", queue=ours, pipeline="institution-extraction", concurrency=1)
        adapter = BullmqJobQueue(settings, RedisSettings(host="127.0.0.1", port=valkey_port), "test")
        try:
            runs = await run_with_ours(adapter, redis, ours)
        finally:
            await adapter.close()
        seen = await see(web, redis, ours, runs)

    different = differences(replace(seen, events=without_early_drains(seen.events)), oracle)
    assert not different, different


def differences(ours: Seen, theirs: Seen) -> str:
    """The lines that differ between two sights, as a diff from the stock worker's to ours; empty when none does."""
    one, other = (json.dumps(asdict(seen), indent=1, sort_keys=True).splitlines() for seen in (theirs, ours))
    return "\n".join(unified_diff(one, other, "BullMQ", "PaperJobs", n=8, lineterm=""))


def without_early_drains(events: list[Any]) -> list[Any]:
    """The events but for each `drained` that comes right before a delayed job's turn."""
    after = [*events[1:], {}]
    return [event for event, then in zip(events, after, strict=True) if not (event == DRAINED and promotes(then))]


def promotes(event: dict[str, Any]) -> bool:
    return event.get("event") == "waiting" and event.get("prev") == "delayed"


async def see(web: WebApp, redis: Redis, queue: str, runs: list[str]) -> Seen:
    events = await web.events(queue)
    job_ids = {event["jobId"] for event in events if "jobId" in event}
    jobs = {job_id: await web.inspect(queue, job_id) for job_id in job_ids}
    for job in jobs.values():
        if job is not None:
            job["stacktrace"] = len(job["stacktrace"])
    return Seen(
        runs=timeless(runs, queue),
        jobs=timeless(jobs, queue),
        events=timeless(events, queue),
        counts=await web.ask("counts", queue=queue),
        keys=await picture(redis, queue),
    )
