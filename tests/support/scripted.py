"""Jobs whose data says what their runs do, and runs of ours that obey it.

The oracle (`tests/webapp/src/oracle.ts`) obeys the same data, so both can be compared: the n-th run of a job does the
n-th step, the last step serves all later runs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from bullmq import Job as BullmqJob
from bullmq import Queue
from redis.asyncio import Redis

from paperjobs.bullmq.jobqueue import BullmqJobQueue
from paperjobs.model import Job, Outcome, OutcomeKind, QueueState
from support.claims import take
from support.webapp import WebApp

LOCK_MS: Final = 30_000
QUIET_SECONDS: Final = 20.0
"""How long a queue may take until nothing waits or runs any more."""

Step = dict[str, Any]


def completes(result: Any = None, **beside: Any) -> Step:
    return {"then": "complete", "result": result, **beside}


def fails(message: str, **beside: Any) -> Step:
    return {"then": "fail", "message": message, **beside}


def never(message: str, **beside: Any) -> Step:
    """Fails for good: an UnrecoverableError."""
    return {"then": "unrecoverable", "message": message, **beside}


def rate_limited(**beside: Any) -> Step:
    return {"then": "rate-limit", **beside}


def script(*steps: Step) -> dict[str, Any]:
    """The data of a job whose runs do these steps."""
    return {"steps": list(steps)}


async def run_with_the_oracle(web: WebApp, queue: str) -> list[str]:
    """Let a stock BullMQ worker run a queue until nothing is left; the ids of its runs in order."""
    await web.ask("startWorker", queue=queue)

    async def idle() -> bool:
        counts = await web.ask("counts", queue=queue)
        return not any(counts[state] for state in ("waiting", "active", "delayed", "prioritized", "waiting-children"))

    await _until(idle, queue)
    done = await web.ask("stopWorker", queue=queue)
    assert done["errors"] == []
    runs: list[str] = done["runs"]
    return runs


async def run_with_ours(queue: BullmqJobQueue, redis: Redis, name: str) -> list[str]:
    """Claim and finish the jobs of the queue `name` until nothing is left; the ids of the runs in order."""
    runs: list[str] = []
    producer = Queue(name, {"connection": redis})

    async def idle() -> bool:
        while job := await take(queue, LOCK_MS):
            if job.deferred_failure is None:
                runs.append(job.id)
            assert await run(queue, producer, job)
        return _is_idle(await queue.observe(None))

    await _until(idle, name)
    return runs


async def run(queue: BullmqJobQueue, producer: Queue, job: Job) -> bool:
    """One run: record it, do the step, hand the outcome back; what `finish` said."""
    await queue.record_launch(job.id, job.claim)
    if job.deferred_failure is not None:
        failed = Outcome(kind=OutcomeKind.NEVER, reason="FailedChild", message=job.deferred_failure)
        return await queue.finish(job.id, job.claim, failed)
    steps = json.loads(job.data)["steps"]
    step = steps[min(job.claim.number, len(steps)) - 1]
    shown = await BullmqJob.fromId(producer, job.id)
    assert shown is not None
    for progress in step.get("progress", ()):
        await shown.updateProgress(progress)
    for row in step.get("logs", ()):
        await shown.log(row)
    return await queue.finish(job.id, job.claim, outcome(step))


def outcome(step: Step) -> Outcome:
    """What the operator reads from the end of a run that did this step."""
    match step["then"]:
        case "complete":
            return Outcome(kind=OutcomeKind.COMPLETED, reason="Completed", result=step["result"])
        case "fail":
            return Outcome(kind=OutcomeKind.FAILED, reason="Error", message=step["message"])
        case "unrecoverable":
            return Outcome(kind=OutcomeKind.NEVER, reason="Error", message=step["message"])
        case "rate-limit":
            return Outcome(kind=OutcomeKind.RATE_LIMITED, reason="RateLimited", retry_after_ms=0)
        case other:
            raise ValueError(f"no step ends with {other!r}")


def _is_idle(state: QueueState) -> bool:
    counts = state.counts
    return not (counts.waiting or counts.active or counts.delayed or counts.waiting_children)


async def _until(idle: Callable[[], Any], queue: str) -> None:
    async with asyncio.timeout(QUIET_SECONDS):
        while not await idle():  # noqa: ASYNC110 - nothing announces that a queue is idle
            await asyncio.sleep(0.02)
