"""A picture of all of a queue's keys in Redis, without what differs between any two runs of the same thing."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from redis.asyncio import Redis

JSON_FIELDS: Final = frozenset({"data", "opts", "returnvalue", "progress", "parent", "repeat"})
"""Of a job's hash: compared as values, since JSON has several texts for one value."""

CLOCK: Final = re.compile(r"\b\d{13}\b")
"""Unix milliseconds."""

ITERATION: Final = re.compile(r"\brepeat:[^:\"]+:(\d{13})\b")
"""The id of a job that a job scheduler made; the time is when it was due."""

TIMING: Final = frozenset({"marker", "stalled-check", "stalled", "events"})
"""Keys that hold who waited when. The events are compared as `QueueEvents` tells them."""

OF_THE_WORKER: Final = frozenset({"pb", "pjc", "pjl", "pjd"})
"""Fields that name the worker that claimed the job: a BullMQ worker without a name sets none."""

OF_THE_SCHEDULER: Final = frozenset({"prevMillis", "offset", "nrjid"})
"""Times by which a job scheduler finds its next iteration; each client library keeps its own (npm 5 and 6 too)."""


async def picture(redis: Redis, queue: str, prefix: str = "bull") -> dict[str, Any]:
    """Every key of the queue with its value; keys of PaperJobs' own are left out."""
    base = f"{prefix}:{queue}:"
    keys = {key.removeprefix(base): key async for key in redis.scan_iter(match=f"{base}*", count=1000)}
    keys = {name: key for name, key in keys.items() if name not in TIMING and not name.startswith("paperjobs:")}
    shown: dict[str, Any] = timeless({name: await _value(redis, key) for name, key in sorted(keys.items())}, queue)
    return shown


def timeless(value: Any, queue: str) -> Any:
    """The same value with every time and the queue's own name blotted out; a scheduler's iterations are numbered."""
    found = sorted(set(ITERATION.findall(json.dumps(value))))
    return _blot(value, queue, {time: f"<iteration {number}>" for number, time in enumerate(found, start=1)})


def _blot(value: Any, queue: str, iterations: dict[str, str]) -> Any:
    match value:
        case str():
            numbered = ITERATION.sub(lambda found: found[0].replace(found[1], iterations[found[1]]), value)
            return CLOCK.sub("<ms>", numbered).replace(f":{queue}", ":<queue>")
        case bool() | None:
            return value
        case int() | float():
            return "<ms>" if 10**12 <= value < 10**13 else value
        case list() | tuple():
            return [_blot(item, queue, iterations) for item in value]
        case dict():
            if "repeat" in value and "delay" in value:  # how long the iteration was still away when it was made
                value = {**value, "delay": "<until due>"}
            kept = {name: item for name, item in value.items() if name not in OF_THE_SCHEDULER}
            return {_blot(name, queue, iterations): _blot(item, queue, iterations) for name, item in kept.items()}
        case _:
            raise TypeError(f"Redis does not store {type(value).__name__}")


async def _value(redis: Redis, key: str) -> Any:
    match await redis.type(key):
        case "hash":
            return _hash({str(name): str(text) for name, text in (await redis.hgetall(key)).items()})
        case "zset":
            return sorted(await redis.zrange(key, 0, -1))
        case "list":
            return await redis.lrange(key, 0, -1)
        case "set":
            return sorted(await redis.smembers(key))
        case "string":
            return await redis.get(key)
        case other:
            raise TypeError(f"{key} is a {other!r}")


def _hash(fields: dict[str, str]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, text in fields.items():
        if name == "stacktrace":
            shown[name] = f"{len(json.loads(text))} traces"
        elif name in JSON_FIELDS:
            shown[name] = json.loads(text)
        elif name not in OF_THE_WORKER:
            shown[name] = text
    return shown
