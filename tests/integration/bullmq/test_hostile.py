"""Whatever a producer writes into Redis, a job can be claimed, shown and ended."""

from __future__ import annotations

import json
from typing import Any

import pytest
from redis.asyncio import Redis

from paperjobs.bullmq.jobqueue import BullmqJobQueue
from paperjobs.model import JobPhase, Outcome, OutcomeKind
from support.claims import take
from support.scripted import LOCK_MS
from support.webapp import WebApp

FAILED = Outcome(kind=OutcomeKind.FAILED, reason="Error", message="no")
COMPLETED = Outcome(kind=OutcomeKind.COMPLETED, reason="Completed", result={"n": 1})


def nested(depth: int) -> Any:
    value: Any = "bottom"
    for _ in range(depth):
        value = [value]
    return value


PAYLOADS = {
    "accents and emoji": {"title": "Ł ☃ \U0001f600 \u202e"},
    "a lone surrogate": {"title": "\ud800", "\udfff": 1},
    "control characters": {"title": "\u0000\u0001\n\r\u2028\u2029\x7f"},
    "Kubernetes variables": {"title": "$(REDIS_PASSWORD) $$(X)"},
    "a prototype": json.loads('{"__proto__": {"polluted": true}, "constructor": 1}'),
    "a megabyte": {"text": "x" * 1_000_000},
    "a deep nesting": nested(500),
    "a string": "text",
    "a number": 7.5,
    "null": None,
    "an array": [1, 2],
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
async def test_payload_arrives_as_the_producer_wrote_it(queue: BullmqJobQueue, web: WebApp, payload: Any) -> None:
    job_id = await web.ask("add", queue="papers", name="paper", data=payload, opts={})

    job = await take(queue, LOCK_MS)

    assert job is not None
    assert json.loads(job.data) == payload
    assert await queue.load(job.id, job.claim) == job
    assert await queue.finish(job.id, job.claim, COMPLETED)
    assert await web.wait("papers", job_id) == {"n": 1}


IDS = {
    "accents and emoji": "Łódź-☃-\U0001f600",
    "colons": "paper:2:3",
    "BullMQ's own suffixes": "1:2:lock",
    "a newline": "paper\n1\r",
    "spaces and slashes": " ../math.GT/0309136 ",
    "a NUL": "paper\u0000",
    "glob characters": "*?[a]\\",
    "five thousand characters": "x" * 5000,
    "an empty object": "{}",
    "a hash tag": "{other}slot",
}


@pytest.mark.parametrize("job_id", IDS.values(), ids=IDS)
async def test_job_id_of_any_text_works(queue: BullmqJobQueue, web: WebApp, redis_client: Redis, job_id: str) -> None:
    added = await web.add("papers", {"paperId": "p1"}, jobId=job_id, attempts=2)
    job = await take(queue, LOCK_MS)
    assert job is not None
    assert job.id == job_id
    await queue.record_launch(job.id, job.claim)
    (active,) = (await queue.observe(None)).active
    assert (active.id, active.claim, active.launched) == (job_id, job.claim, True)
    assert await queue.relock(job.id, job.claim, LOCK_MS)
    assert await queue.finish(job.id, job.claim, FAILED)
    assert (await queue.states([job_id]))[job_id].phase is JobPhase.WAITING

    job = await take(queue, LOCK_MS)
    assert job is not None
    assert await queue.finish(job.id, job.claim, COMPLETED)
    seen = await web.inspect("papers", added)
    assert seen is not None
    assert (seen["state"], seen["attemptsMade"]) == ("completed", 2)


TEXTS = ["\ud800 half a pair", "\udcff an escaped byte", "NUL \u0000 in it", "x" * 200_000, "\u202e\u2028"]


@pytest.mark.parametrize("text", TEXTS, ids=["surrogate", "escaped byte", "NUL", "long", "direction"])
@pytest.mark.parametrize("kind", [OutcomeKind.FAILED, OutcomeKind.NEVER, OutcomeKind.COMPLETED])
async def test_outcome_of_any_text_is_handed_back(
    queue: BullmqJobQueue, web: WebApp, text: str, kind: OutcomeKind
) -> None:
    job_id = await web.add("papers")
    job = await take(queue, LOCK_MS)
    assert job is not None

    outcome = Outcome(kind=kind, reason="Error", message=text, result={text: text})
    assert await queue.finish(job.id, job.claim, outcome)

    seen = await web.inspect("papers", job_id)
    assert seen is not None
    assert seen["state"] == ("completed" if kind is OutcomeKind.COMPLETED else "failed")


RAW_OPTIONS = {
    "nothing": "",
    "no JSON": "{not json",
    "no object": "[]",
    "null": "null",
    "attempts as text": '{"attempts":"3"}',
    "attempts of a million digits": '{"attempts":1e400}',
    "attempts below zero": '{"attempts":-1}',
    "attempts as an object": '{"attempts":{}}',
    "an unknown backoff": '{"attempts":3,"backoff":{"type":"fibonacci","delay":5}}',
    "a backoff type that is a list": '{"attempts":3,"backoff":{"type":[],"delay":5}}',
    "a backoff type that is an object": '{"attempts":3,"backoff":{"type":{},"delay":5}}',
    "a backoff delay as text": '{"attempts":3,"backoff":{"type":"fixed","delay":"5"}}',
    "an endless backoff": '{"attempts":3,"backoff":{"type":"exponential","delay":1e300}}',
    "a backoff below zero": '{"attempts":3,"backoff":-5}',
    "a broken backoff": '{"attempts":3,"backoff":1.5}',
    "a jitter as text": '{"attempts":3,"backoff":{"type":"fixed","delay":5,"jitter":"x"}}',
    "a jitter over one": '{"attempts":3,"backoff":{"type":"fixed","delay":5,"jitter":9}}',
    "removal as text": '{"removeOnComplete":"yes","removeOnFail":"no"}',
    "removal as a list": '{"removeOnComplete":[1],"removeOnFail":[]}',
    "removal by strange counts": '{"removeOnComplete":{"count":"x","age":null},"removeOnFail":{"count":-1,"age":1.5}}',
    "a stack trace limit as text": '{"attempts":3,"stackTraceLimit":"x"}',
    "a stack trace limit below zero": '{"attempts":3,"stackTraceLimit":-2}',
    "lifo as text": '{"attempts":3,"lifo":"x"}',
    "a deep nesting": '{"a":' + "[" * 5000 + "]" * 5000 + "}",
}


@pytest.mark.parametrize("outcome", [COMPLETED, FAILED], ids=["completed", "failed"])
@pytest.mark.parametrize("opts", RAW_OPTIONS.values(), ids=RAW_OPTIONS)
async def test_job_with_any_options_can_be_ended(
    queue: BullmqJobQueue, redis_client: Redis, opts: str, outcome: Outcome
) -> None:
    fields: dict[Any, Any] = {"name": "paper", "data": "{}", "opts": opts, "timestamp": "1700000000000", "delay": "0"}
    await redis_client.hset("bull:papers:evil", mapping=fields)
    await redis_client.lpush("bull:papers:wait", "evil")

    job = await take(queue, LOCK_MS)
    assert job is not None
    assert await queue.finish(job.id, job.claim, outcome)

    assert (await queue.observe(None)).active == ()
    ended = (await queue.states(["evil"]))["evil"]
    if outcome is COMPLETED:
        assert ended.phase in (JobPhase.COMPLETED, None)
    else:
        assert ended.phase in (JobPhase.FAILED, JobPhase.WAITING, JobPhase.DELAYED)
        assert ended.failed_reason == "no"


PARENT = '{"id":"gone","queueKey":"bull:papers","fpof":true}'

RAW_FIELDS: dict[str, dict[Any, Any]] = {
    "no fields at all": {},
    "data that is no JSON": {"data": "{not json"},
    "data that is no UTF-8": {"data": b'"\xff\xfe"'},
    "a name that is no UTF-8": {"name": b"\xff"},
    "a stack trace that is no list": {"stacktrace": "{}"},
    "a stack trace that is no JSON": {"stacktrace": "x"},
    "a parent that does not exist": {"parentKey": "bull:papers:gone", "parent": PARENT},
    "a scheduler that does not exist": {"rjk": "nobody", "opts": '{"repeat":{"every":1000}}'},
    "a scheduler without a pattern": {"rjk": "nobody", "opts": "{}"},
    "a scheduler with a broken pattern": {"rjk": "nobody", "opts": '{"repeat":{"pattern":"every day"}}'},
    "a scheduler that is a list": {"rjk": "nobody", "opts": '{"repeat":[]}'},
    "a scheduler in the old style": {"rjk": "name:id:::* * * * *", "opts": '{"repeat":{"pattern":"* * * * *"}}'},
}


@pytest.mark.parametrize("fields", RAW_FIELDS.values(), ids=RAW_FIELDS)
async def test_job_with_any_fields_can_be_claimed_and_ended(
    queue: BullmqJobQueue, redis_client: Redis, fields: dict[Any, Any]
) -> None:
    if fields:
        await redis_client.hset("bull:papers:evil", mapping={"name": "n", "data": "{}", "opts": "{}", **fields})
    await redis_client.lpush("bull:papers:wait", "evil")

    job = await take(queue, LOCK_MS)
    assert job is not None
    assert (job.id, job.claim.number) == ("evil", 1)
    assert [active.id for active in (await queue.observe(None)).active] == ["evil"]
    assert await queue.load(job.id, job.claim) == job
    assert await queue.finish(job.id, job.claim, FAILED)
    assert (await queue.observe(None)).active == ()


async def test_job_id_that_is_no_text_works(queue: BullmqJobQueue, redis_client: Redis) -> None:
    await redis_client.hset(
        b"bull:papers:\xff\xfe", mapping={"name": "n", "data": "{}", "opts": "{}", "timestamp": "1"}
    )
    await redis_client.lpush("bull:papers:wait", b"\xff\xfe")

    job = await take(queue, LOCK_MS)
    assert job is not None
    (active,) = (await queue.observe(None)).active
    assert active.claim == job.claim
    await queue.record_launch(active.id, active.claim)
    assert await queue.relock(active.id, active.claim, LOCK_MS)
    assert await queue.finish(active.id, active.claim, COMPLETED)
    assert (await queue.states([active.id]))[active.id].phase is JobPhase.COMPLETED


async def test_a_damaged_job_that_is_buried_gives_its_deduplication_id_free(
    queue: BullmqJobQueue, web: WebApp, redis_client: Redis
) -> None:
    first = await web.add("papers", {"n": 1}, deduplication={"id": "paper-9"})
    await redis_client.hset(f"bull:papers:{first}", "ats", "x")
    await take(queue, LOCK_MS)
    seen = await web.inspect("papers", first)
    assert seen is not None
    assert seen["state"] == "failed"

    second = await web.add("papers", {"n": 2}, deduplication={"id": "paper-9"})
    assert second != first
    job = await take(queue, LOCK_MS)
    assert job is not None
    assert job.id == second
