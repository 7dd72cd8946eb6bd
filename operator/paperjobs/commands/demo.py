"""`paperjobs demo`: all pipelines on real parts, here and now: sample papers in, what was found out, then exit."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from paperjobs.commands.local import announce, serve_until
from paperjobs.errors import PaperJobsError
from paperjobs.local.board import Board
from paperjobs.local.findings import findings_table
from paperjobs.local.offer import served_queues
from paperjobs.local.sampling import Ended, sample_tasks, work_off
from paperjobs.local.session import local_session
from paperjobs.local.signals import stop_signals
from paperjobs.local.statedir import StateDir
from paperjobs.local.table import render
from paperjobs.local.terminal import Terminal
from paperjobs.model import RateLimit

if TYPE_CHECKING:
    from paperjobs_runner.store.read import PaperResult

CONCURRENCY: Final = 2
RATE: Final = RateLimit(max=60, per_ms=60_000)
"""The demo's limits for each queue: the seed's 5 to 20 starts a minute would make a dozen papers take minutes."""

TIMEOUT_S: Final = 180.0
"""The demo takes some 40 s; a machine that needs more than this has a fault to look for."""

INTERRUPTED: Final = 130

REAL_SERVICES: Final = ("REDIS_", "DATABASE_URL", "ARXIV_", "ADOBE_", "ANTHROPIC_", "AWS_", "ASANA_", "PAPERJOBS_")
"""What the demo takes out of the environment: it must not touch anybody's queue, database or bill."""


class DemoTooSlow(PaperJobsError):
    """The jobs have not all ended within three minutes."""


def main(argv: Sequence[str]) -> int:
    """Run the demo; 0 when every job of every queue has completed and all kinds of findings are stored, else 1."""
    _parser().parse_args(argv)
    env = {name: value for name, value in os.environ.items() if not name.startswith(REAL_SERVICES)}
    folder = Path(tempfile.mkdtemp(prefix="paperjobs-demo-"))
    code = 1
    try:
        code = asyncio.run(_demo(folder, env))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        if code in (0, INTERRUPTED):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            Terminal().say(f"the demo's queue, database and logs are kept in {folder}")
    return code


async def _demo(folder: Path, env: Mapping[str, str]) -> int:
    terminal = Terminal()
    state = StateDir.at(folder)
    board = Board(state, terminal.say)
    queues = [replace(queue, concurrency=CONCURRENCY, rate_limit=RATE) for queue in served_queues(None, terminal.say)]
    tasks = sample_tasks()
    terminal.say("every external service is a stand-in on this machine; nothing leaves it")
    terminal.say("the limits are raised so that this takes seconds; `paperjobs local` has the web app's own")
    with stop_signals() as stop, terminal.logging():
        async with local_session(state, queues, env, board, valkey_port=0) as session:
            announce(session, queues, terminal)
            started = time.monotonic()
            with terminal.live(lambda now_ms: render(board, now_ms)):
                work = asyncio.create_task(work_off(queues, tasks, session.around.redis, TIMEOUT_S))
                work.add_done_callback(lambda _: stop.set())
                await serve_until(stop, session, follow=terminal.console.is_terminal)
            if not work.done():
                work.cancel()
                return INTERRUPTED
            seconds = time.monotonic() - started
            try:
                ended = work.result()
            except TimeoutError:
                raise DemoTooSlow from None
            results = await asyncio.to_thread(_stored, session.around.env["DATABASE_URL"])
    terminal.console.print(findings_table(results), crop=False)
    return _sum_up(ended, results, seconds, terminal)


def _stored(database_url: str) -> list[PaperResult]:
    from paperjobs_runner.store.read import read_results

    return read_results(database_url)


def _sum_up(ended: Sequence[Ended], results: Sequence[PaperResult], seconds: float, terminal: Terminal) -> int:
    for job in ended:
        if not job.completed:
            terminal.say(f"{job.queue}: {job.task.arxiv_url} failed: {job.state.failed_reason or 'removed'}")
    done = sum(job.completed for job in ended)
    counts = {
        "papers": len(results),
        "authors": sum(len(paper.authors) for paper in results),
        "institutions": len({name for paper in results for name in paper.institutions}),
        "abstracts": sum(paper.abstract is not None for paper in results),
        "tags": len({tag.slug for paper in results for tag in paper.tags}),
    }
    found = ", ".join(f"{count} {name}" for name, count in counts.items())
    terminal.say(f"{done} of {len(ended)} jobs completed in {seconds:.1f} s; in the database: {found}")
    return 0 if done == len(ended) and all(counts.values()) else 1


def _parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="paperjobs demo",
        description="Run all four pipelines on a dozen sample papers: BullMQ queues, engine, one process for each run, "
        "arXiv, text extraction, language model, database; the external services are stand-ins. Uses a temporary "
        "folder and any free ports, touches nothing else, and ends by itself: 0 when everything was found.",
    )
