"""`paperjobs enqueue`: add one job to a queue, as the web app would."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from paperjobs.bullmq.producer import ATTEMPTS, PaperTask, Producer
from paperjobs.commands import which_redis
from paperjobs.commands.arguments import seconds
from paperjobs.model import JobPhase, JobState
from paperjobs.settings import RedisSettings

POLL_S: Final = 0.25
"""How often --wait looks."""

MAX_PRIORITY: Final = 2**21
"""BullMQ's lowest priority."""


def main(argv: Sequence[str]) -> int:
    """Add a job and print its id; with --wait also its result, or exit with 1 and its failure."""
    arguments = _parser().parse_args(argv)
    redis = which_redis.redis_settings(arguments.state_dir, os.environ)
    return asyncio.run(_enqueue(arguments, redis))


async def _enqueue(arguments: argparse.Namespace, redis: RedisSettings) -> int:
    async with Producer(arguments.queue, redis, prefix=arguments.prefix) as producer:
        job_id = await producer.add(
            PaperTask(paper_id=arguments.paper_id, arxiv_url=arguments.arxiv_url),
            attempts=arguments.attempts,
            priority=arguments.priority,
            delay_ms=round(arguments.delay * 1000),
        )
        sys.stdout.write(f"{job_id}\n")
        sys.stdout.flush()
        if not arguments.wait:
            return 0
        try:
            async with asyncio.timeout(arguments.timeout):
                state = await _end_of(producer, job_id)
        except TimeoutError:
            return _complain(f"job {job_id} has not ended after {arguments.timeout:g} s; it stays queued")
    match state.phase:
        case JobPhase.COMPLETED:
            sys.stdout.write(f"{state.returnvalue or 'null'}\n")
            return 0
        case JobPhase.FAILED:
            attempts = "1 attempt" if state.attempts_made == 1 else f"{state.attempts_made} attempts"
            return _complain(f"job {job_id} failed after {attempts}: {state.failed_reason}")
        case _:
            return _complain(f"job {job_id} was removed from its queue")


async def _end_of(producer: Producer, job_id: str) -> JobState:
    while True:
        [state] = await producer.states([job_id])
        if state.phase is None or state.phase.final:
            return state
        await asyncio.sleep(POLL_S)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="paperjobs enqueue",
        description="Add one job to a queue, as the web app would, and print its id. A paper that already waits or "
        "runs in the queue is not added twice: the id of its job is printed.",
        epilog=which_redis.EPILOG,
    )
    parser.add_argument("queue", metavar="QUEUE", help="BullMQ's name of the queue, such as institution-extraction")
    parser.add_argument("--paper-id", required=True, metavar="ID", help="the web app's id of the paper")
    parser.add_argument("--arxiv-url", required=True, metavar="URL", help="such as https://arxiv.org/abs/1706.03762")
    parser.add_argument(
        "--attempts", type=_at_least(1), default=ATTEMPTS, metavar="N", help="attempts in all (default %(default)s)"
    )
    parser.add_argument(
        "--priority", type=_at_least(1), metavar="N", help="1 is the highest; jobs without one come before all others"
    )
    parser.add_argument("--delay", type=seconds, default=0.0, metavar="SECONDS", help="do not start earlier")
    parser.add_argument("--wait", action="store_true", help="wait for the end, print the result or fail")
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="with --wait: how long (default: for ever)")
    which_redis.add_arguments(parser)
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= MAX_PRIORITY:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {MAX_PRIORITY}")
        return int(text)

    return number


def _complain(message: str) -> int:
    sys.stderr.write(f"paperjobs: {message}\n")
    return 1
