"""`paperjobs cancel`: end jobs for good, whether they run or wait.

It only asks, in Redis: whoever serves the queue carries it out, at once or as soon as it is back.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from paperjobs.bullmq.canceller import Answer, CancelDesk, Place
from paperjobs.commands import which_redis
from paperjobs.commands.arguments import seconds
from paperjobs.model import CANCELLED_PREFIX, JobPhase, JobState
from paperjobs.settings import RedisSettings

POLL_S: Final = 0.25
"""How often --wait looks."""

DEFAULT_REASON: Final = "by `paperjobs cancel`"

REASON_LIMIT: Final = 500
"""Characters of --reason: it is kept in the job and shown in one line."""

STOOD: Final[Mapping[Place, str]] = {
    Place.WAITING: "waits in its queue",
    Place.DELAYED: "is delayed",
    Place.WAITING_CHILDREN: "waits for its children",
    Place.ACTIVE: "is active",
}


def main(argv: Sequence[str]) -> int:
    """Ask for each job's end and say what happened; 1 when one is not, or will not be, cancelled."""
    arguments = _parser().parse_args(argv)
    redis = which_redis.redis_settings(arguments.state_dir, os.environ)
    return asyncio.run(_cancel(arguments, redis))


async def _cancel(arguments: argparse.Namespace, redis: RedisSettings) -> int:
    pending: list[str] = []
    well = True
    async with CancelDesk(arguments.queue, redis, prefix=arguments.prefix) as desk:
        for job_id in dict.fromkeys(arguments.ids):
            answer = await desk.request(job_id, CANCELLED_PREFIX + arguments.reason)
            _say(job_id, _answered(answer, waiting=arguments.wait))
            well = well and _is_well(answer)
            if answer.requested:
                pending.append(job_id)
        if arguments.wait:
            well = await _ended(desk, pending, arguments.timeout) and well
    return 0 if well else 1


def _answered(answer: Answer, *, waiting: bool) -> str:
    match answer.place:
        case Place.NOWHERE:
            return "does not exist in this queue"
        case Place.COMPLETED:
            return "has completed already"
        case Place.FAILED if answer.failed_reason.startswith(CANCELLED_PREFIX):
            return "is cancelled already"
        case Place.FAILED:
            return f"has failed already: {answer.failed_reason}"
    if answer.foreign:
        return "is run by a BullMQ worker that is not PaperJobs; it is cancelled if it comes back to its queue"
    then = "" if waiting else ", at once or as soon as somebody serves its queue"
    return f"{STOOD[answer.place]}; it will be cancelled{then}"


def _is_well(answer: Answer) -> bool:
    cancelled = answer.place is Place.FAILED and answer.failed_reason.startswith(CANCELLED_PREFIX)
    return cancelled or (answer.requested and not answer.foreign)


async def _ended(desk: CancelDesk, job_ids: Sequence[str], timeout_s: float | None) -> bool:
    """Wait for the jobs' ends and say them; whether all were cancelled."""
    well, left = True, list(job_ids)
    try:
        async with asyncio.timeout(timeout_s):
            while left:
                states = dict(zip(left, await desk.states(left), strict=True))
                for job_id, state in states.items():
                    if state.phase is None or state.phase.final:
                        left.remove(job_id)
                        _say(job_id, _end(state))
                        well = well and _was_cancelled(state)
                if left:
                    await asyncio.sleep(POLL_S)
    except TimeoutError:
        for job_id in left:
            _say(job_id, f"has not ended after {timeout_s:g} s; it stays to be cancelled")
        return False
    return well


def _end(state: JobState) -> str:
    if state.phase is None:
        return "is gone: cancelled, or removed from its queue"
    if state.phase is JobPhase.COMPLETED:
        return "completed before it could be stopped"
    return "is cancelled" if _was_cancelled(state) else f"failed before it could be stopped: {state.failed_reason}"


def _was_cancelled(state: JobState) -> bool:
    # With removeOnFail nothing is left of a cancelled job.
    return state.phase is None or (state.phase is JobPhase.FAILED and state.failed_reason.startswith(CANCELLED_PREFIX))


def _say(job_id: str, what: str) -> None:
    line = f"job {job_id} {what}"
    sys.stdout.write("".join(letter if letter.isprintable() else "?" for letter in line) + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="paperjobs cancel",
        description="End jobs for good, whether they run or wait: a run is stopped, and in BullMQ the job has failed "
        'with the reason "cancelled: …". Says of each job what happens. What cannot be done just now, because nobody '
        "serves the queue, is done as soon as somebody does.",
        epilog=which_redis.EPILOG + " Exit codes: 0 all are cancelled or will be; 1 one is not: it has ended, does not "
        "exist, is run by another kind of worker, or --timeout is over.",
    )
    parser.add_argument("queue", metavar="QUEUE", help="BullMQ's name of the queue, such as institution-extraction")
    parser.add_argument("ids", metavar="ID", nargs="+", help="a job's id in BullMQ; kubectl shows it as status.jobId")
    parser.add_argument("--reason", type=_reason, default=DEFAULT_REASON, metavar="TEXT", help="why, for whoever asks")
    parser.add_argument("--wait", action="store_true", help="wait until every job has ended")
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="with --wait: how long (default: for ever)")
    which_redis.add_arguments(parser)
    return parser


def _reason(text: str) -> str:
    if not text.strip() or len(text) > REASON_LIMIT:
        raise argparse.ArgumentTypeError(f"it must be a text of at most {REASON_LIMIT} characters")
    return " ".join(text.split())
