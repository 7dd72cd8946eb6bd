"""What Ctrl-C means to a session: once, stop and give every job back; twice, stop at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

STOP: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a supervisor's wish, a closed terminal."""


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that a signal of `STOP` sets; the second such signal cancels the current task."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    stop = asyncio.Event()

    def on_signal() -> None:
        if not stop.is_set():
            stop.set()
        elif task is not None:
            task.cancel()

    for number in STOP:
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        for number in STOP:
            loop.remove_signal_handler(number)
