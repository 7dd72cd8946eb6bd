"""Where a local session shows itself: a live table with the lines above it, or just the lines."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from rich.console import Console, RenderableType
from rich.live import Live

REFRESHES_PER_SECOND: Final = 4

PLAIN_WIDTH: Final = 120
"""Columns of a table where there is no terminal to ask: those of a CI log."""


class Terminal:
    """Lines of text, each with the time of day; a terminal also gets what `live` shows, below the lines."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, markup=False, emoji=False)
        if not self.console.is_terminal:
            self.console.width = PLAIN_WIDTH

    def say(self, line: str) -> None:
        """Show one line."""
        now = datetime.now().astimezone()
        self.console.print(f"{now:%H:%M:%S} {line}", soft_wrap=True)

    @contextmanager
    def live(self, render: Callable[[int], RenderableType]) -> Iterator[None]:
        """Keep showing what `render(now in ms)` gives; nothing without a terminal."""
        if not self.console.is_terminal:
            yield
            return
        shown = Live(
            get_renderable=lambda: render(time.time_ns() // 1_000_000),
            console=self.console,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
        )
        with shown:
            yield

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Show what is logged as an error; what happens to jobs, and troubles that pass, the board says itself."""
        handler = _Handler(self)
        root = logging.getLogger()
        root.addHandler(handler)
        try:
            yield
        finally:
            root.removeHandler(handler)


class _Handler(logging.Handler):
    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.ERROR)
        self._terminal = terminal
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._terminal.say(self.format(record))
