"""`paperjobs local`: serve the web app's queues on this laptop, without a cluster."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from paperjobs.errors import RedisUnavailable
from paperjobs.local.board import Board
from paperjobs.local.offer import served_queues
from paperjobs.local.session import LocalSession, local_session
from paperjobs.local.signals import stop_signals
from paperjobs.local.statedir import DEFAULT_STATE_DIR, StateDir
from paperjobs.local.table import render
from paperjobs.local.terminal import Terminal
from paperjobs.model import QueueSettings

PROGRESS_EVERY_S: Final = 0.5
"""How often the table's progress is read from Redis."""


def main(argv: Sequence[str]) -> int:
    """Serve until Ctrl-C (exit code 0), or until something the session needs has ended (PaperJobsError)."""
    arguments = _parser().parse_args(argv)
    if arguments.reload:
        from paperjobs.local.reload import run_reloading

        command = [sys.executable, "-m", "paperjobs", "local", "--state-dir", str(arguments.state_dir)]
        if arguments.port is not None:
            command += ["--port", str(arguments.port)]
        if arguments.queues is not None:
            command += ["--queues", str(arguments.queues)]
        return asyncio.run(run_reloading(StateDir.at(arguments.state_dir), command, Terminal().say))
    try:
        asyncio.run(_serve(arguments, os.environ))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    return 0


async def _serve(arguments: argparse.Namespace, env: Mapping[str, str]) -> None:
    terminal = Terminal()
    queues = served_queues(arguments.queues, terminal.say)
    state = StateDir.at(arguments.state_dir)
    board = Board(state, terminal.say)
    with stop_signals() as stop, terminal.logging():
        async with local_session(state, queues, env, board, valkey_port=arguments.port) as session:
            announce(session, queues, terminal)
            with terminal.live(lambda now_ms: render(board, now_ms)):
                await serve_until(stop, session, follow=terminal.console.is_terminal)
            terminal.say("stopping: runs are asked to leave, their jobs go back to their queues; again Ctrl-C: at once")
    terminal.say("stopped; `paperjobs local` continues where this ended")


async def serve_until(stop: asyncio.Event, session: LocalSession, *, follow: bool) -> None:
    """Return when `stop` is set; raise the error when the session breaks. `follow`: keep the progress up to date."""
    stopped = asyncio.create_task(stop.wait())
    broken = asyncio.create_task(session.broken())
    progress = asyncio.create_task(_follow(session)) if follow else None
    tasks = [task for task in (stopped, broken, progress) if task is not None]
    try:
        await asyncio.wait([stopped, broken], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    if broken.done() and not stopped.done():
        raise broken.result()


async def _follow(session: LocalSession) -> None:
    while True:
        # The board tells of the fault: it ends the queues' ticks too.
        with contextlib.suppress(RedisUnavailable):
            await session.read_progress()
        await asyncio.sleep(PROGRESS_EVERY_S)


def announce(session: LocalSession, queues: Sequence[QueueSettings], terminal: Terminal) -> None:
    """Say what is served, and what is real."""
    for queue in queues:
        limit = queue.rate_limit
        rate = f", at most {limit.max} starts in {limit.per_ms / 1000:g} s" if limit is not None else ""
        terminal.say(f"serving {queue.queue}: {queue.concurrency} at a time{rate}")
    for service, place in session.around.places.items():
        terminal.say(f"{service}: {place}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="paperjobs local",
        description="Serve the web app's queues on this laptop: the same engine as in a cluster, each run a process "
        "of its own. Ctrl-C stops it in order; what was not done continues next time.",
        epilog="Redis is an embedded Valkey unless REDIS_HOST is set, the database is SQLite unless DATABASE_URL is "
        "set, and every external service without a key in the environment is played by a loopback stand-in that "
        "knows the sample papers. ARXIV_CONTACT (a mail address) makes arXiv real.",
    )
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=DEFAULT_STATE_DIR,
        metavar="DIR",
        help="where queue, database and logs are kept (default %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        metavar="PORT",
        help="the embedded Valkey's port on loopback (default 6379, or another when that is taken; 0: any)",
    )
    parser.add_argument("--reload", action="store_true", help="start again whenever the code changes")
    parser.add_argument(
        "--queues",
        type=Path,
        metavar="FILE.yaml",
        help="PaperQueue objects to serve, as for kubectl (default: the seed's four)",
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)
