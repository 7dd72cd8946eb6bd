"""A Redis user with the rights that the README lists can do all that PaperJobs does, and has no right beyond that."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pytest
from bullmq.redis_connection import loadScript
from redis.asyncio import Redis

from paperjobs.bullmq.budgets import Budgets as OperatorsBudgets
from paperjobs.bullmq.jobqueue import BullmqJobQueue
from paperjobs.bullmq.producer import PaperTask, Producer
from paperjobs.bullmq.scripts import OWN_SCRIPTS, own_script
from paperjobs.model import Budget, Outcome, OutcomeKind, QueueSettings, RateLimit
from paperjobs.settings import RedisSettings
from paperjobs_runner.arxiv_id import ArxivId
from paperjobs_runner.contract import Assignment
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import RateLimited, Superseded
from paperjobs_runner.redaction import Redactor
from paperjobs_runner.services.allowance import UNLIMITED
from paperjobs_runner.services.budgets import Budgets as RunnersBudgets
from paperjobs_runner.services.bullmq_job import read_job
from paperjobs_runner.services.feed_cache import FeedCache
from paperjobs_runner.services.once import Once
from paperjobs_runner.services.progress import Progress
from paperjobs_runner.services.redis_link import opened
from paperjobs_runner.settings import RedisSettings as RunnersRedisSettings
from support.claims import take
from support.scripted import LOCK_MS, completes, fails, rate_limited, script
from support.served_queue import ServedQueue, served_queue
from support.tools import ROOT
from support.valkey import ValkeyServer, running_valkey
from support.webapp import web_app

PASSWORD: Final = "secret"

BULLMQS_SCRIPTS: Final = (
    "moveToFinished-14.lua",
    "moveToDelayed-11.lua",
    "retryJob-11.lua",
    "moveStalledJobsToWait-9.lua",
    "updateJobScheduler-12.lua",
    "addStandardJob-9.lua",
    "addDelayedJob-6.lua",
    "addPrioritizedJob-9.lua",
    "updateProgress-3.lua",
    "addLog-2.lua",
)
"""Those that we run beside the ones that ours include."""

OF_THE_CLIENT: Final = frozenset(
    {"evalsha", "script|load", "time", "info", "type", "bzpopmin", "hmget", "hset", "hget", "hdel", "zrem"}
    | {"client|setinfo", "select"}
)
"""Sent outside of scripts."""


def rights() -> list[str]:
    """The words of the ACL rule in the README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^ACL SETUSER paperjobs on >PASSWORD (.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert found is not None, "the README lists the rights"
    return found[1].replace("\\\n", " ").split()


def scripts() -> Iterator[str]:
    """The text of every script that operator and runner send."""
    yield from map(own_script, OWN_SCRIPTS)
    yield from map(loadScript, BULLMQS_SCRIPTS)
    for package, names in (
        ("paperjobs.bullmq", ("budgets", "mirror_budgets")),
        ("paperjobs_runner.services", ("draw", "hold_budget")),
    ):
        for name in names:
            yield (files(package) / "lua" / f"{name}.lua").read_text()


def test_every_right_is_used() -> None:
    called = re.compile(r"""(?:call\(|redis\.p?call, ?)['"](\w+)['"]""")
    used = {command.lower() for text in scripts() for command in called.findall(text)} | OF_THE_CLIENT

    granted = {word[1:] for word in rights() if word.startswith("+")}

    assert granted == used
    assert {word for word in rights() if not word.startswith("+")} == {
        "resetkeys",
        "~bull:*",
        "~{paperjobs}:*",
        "resetchannels",
        "-@all",
    }


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[ValkeyServer]:
    with running_valkey(tmp_path) as server:
        yield server


async def test_the_rights_are_enough_for_all_that_operator_and_runner_do(
    guarded: ValkeyServer, node: Path, webapp_dir: Path
) -> None:
    redis = RedisSettings.model_validate(
        {"host": "127.0.0.1", "port": guarded.port, "username": "paperjobs", "password": PASSWORD}
    )
    async with Redis(port=guarded.port, decode_responses=True) as admin, web_app(node, webapp_dir, guarded.port) as web:
        await admin.execute_command("ACL", "SETUSER", "paperjobs", "on", f">{PASSWORD}", *rights())  # type: ignore[no-untyped-call]
        async with served_queue("papers", web, redis) as queue:
            await produce_everything(queue)
            queue.serve(concurrency=3, rate_limit=RateLimit(max=20, per_ms=300))
            await queue.idle()
        await work_by_hand(redis, admin)
        await asyncio.to_thread(run, guarded.port)
        refused: Any = await admin.execute_command("ACL", "LOG")  # type: ignore[no-untyped-call]
    assert refused == []


async def produce_everything(queue: ServedQueue) -> None:
    """Jobs of the npm client that take every path through the scripts."""
    for steps, opts in (
        ([completes({"n": 1})], {"removeOnComplete": {"age": 60, "count": 1}}),
        ([completes()], {"removeOnComplete": True, "deduplication": {"id": "a", "keepLastIfActive": True}}),
        ([fails("no")], {"removeOnFail": True}),
        ([fails("no"), completes()], {"attempts": 2, "priority": 3}),
        ([fails("no"), completes()], {"attempts": 2, "lifo": True}),
        ([fails("no"), completes()], {"attempts": 2, "backoff": 50}),
        ([rate_limited(), completes()], {"delay": 50}),
        ([rate_limited(), completes()], {"priority": 9}),
    ):
        await queue.add(*steps, **opts)
    template = {"name": "nightly", "data": script(completes()), "opts": {}}
    await queue.ask("upsertJobScheduler", schedulerId="s", repeat={"every": 100, "limit": 2}, template=template)
    for option in ("failParentOnFailure", "ignoreDependencyOnFailure", "removeDependencyOnFailure"):
        bad = {"name": "bad", "queueName": queue.name, "data": script(fails("no")), "opts": {option: True}}
        good = {"name": "good", "queueName": queue.name, "data": script(completes())}
        parent = {"name": "parent", "queueName": queue.name, "data": script(completes()), "children": [bad, good]}
        await queue.web.ask("addFlow", flow=parent)


async def work_by_hand(redis: RedisSettings, admin: Redis) -> None:
    """What the engine does when something went wrong, and what people do."""
    async with Producer("papers", redis) as producer:
        for priority in (None, 3):
            await producer.add(PaperTask(paper_id=f"p{priority}", arxiv_url="x"), priority=priority)
        await producer.add(PaperTask(paper_id="late", arxiv_url="x"), delay_ms=60_000)
    settings = QueueSettings(name="papers", queue="papers", pipeline="x", concurrency=3)
    queue = BullmqJobQueue(settings, redis, "test")
    try:
        await queue.storage_problem()
        job = await take(queue, LOCK_MS)
        assert job is not None
        await queue.record_launch(job.id, job.claim)
        assert await queue.relock(job.id, job.claim, LOCK_MS)
        assert await queue.load(job.id, job.claim) is not None
        assert await queue.reserve(job.claim.token, RateLimit(max=5, per_ms=50)) is None
        await queue.unreserve(job.claim.token)
        await queue.restore_starts({job.claim.token: 1})
        await queue.states([job.id])
        await queue.mirror_limits(1, None)
        await queue.hold(1)
        assert await queue.finish(job.id, job.claim, Outcome(kind=OutcomeKind.DISRUPTED, reason="Evicted"))
        await admin.rpoplpush("bull:papers:wait", "bull:papers:active")
        for _ in range(2):
            await admin.delete("bull:papers:stalled-check")
            await queue.return_abandoned()
        await queue.wait_for_work()
    finally:
        await queue.close()


def run(port: int) -> None:
    """What the runner asks of Redis: the job's data, progress, a log line, a call's place in a budget, a lease, and
    arXiv's kept answers."""
    settings = RunnersRedisSettings(
        host="127.0.0.1", port=port, username="paperjobs", password=PASSWORD, tls=False, db=0
    )
    budget = Budget(name="arxiv", max=1, per_ms=50)
    assignment = Assignment(
        queue="papers",
        prefix="bull",
        pipeline="x",
        job_id="1",
        job_name="paper",
        run="papers-1",
        claim=1,
        attempt=1,
        payload=None,
        timeout_seconds=60,
        budgets=(budget,),
    )
    with suppress(Superseded):  # That is what it reads: another run has claimed the job.
        read_job(assignment, settings)
    progress = Progress(assignment, settings, Redactor(()))
    progress.update(50, "reading")
    progress.log("a line")
    progress.close()
    budgets = RunnersBudgets(assignment, settings, Deadline.after(60))
    allowance = budgets.of("arxiv", UNLIMITED)
    for _ in range(2):
        allowance.draw()
    assert allowance.hold(RateLimited("arXiv asks to wait", retry_after_ms=100))
    budgets.close()
    with opened(settings) as client:
        assert client is not None
        once, feeds = Once(client, Deadline.after(60), ttl_s=0.3), FeedCache(client)
        once.do("text", lambda: None, renewed)
        feeds.keep(ArxivId(base="1706.03762"), b"x")
        feeds.get(ArxivId(base="1706.03762"))
    asyncio.run(look(port, budget))


def renewed() -> bool:
    """Work that is long enough for its lease to be renewed."""
    time.sleep(0.2)
    return True


async def look(port: int, budget: Budget) -> None:
    """What the operator asks about budgets."""
    async with Redis(port=port, username="paperjobs", password=PASSWORD, decode_responses=True) as client:
        budgets = OperatorsBudgets(client)
        await budgets.mirror([budget])
        await budgets.look([budget])
        await budgets.hold(budget, 1, "a run")
