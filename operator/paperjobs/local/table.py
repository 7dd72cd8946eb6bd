"""The live table of `paperjobs local`: pure, from the board to rows."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from paperjobs.local.board import Board
from paperjobs.model import QueueSettings, QueueStatus, RateLimit

QUEUE_COLUMNS = ("QUEUE", "ACTIVE", "RATE", "WAITING", "DELAYED", "FAILED", "NEXT", "REASON")
RUN_COLUMNS = ("QUEUE", "JOB", "PAPER", "ATTEMPT", "PROGRESS")


def render(board: Board, now_ms: int) -> Group:
    """The queues, and below them the runs that are live."""
    queues = Table(*QUEUE_COLUMNS, box=None, pad_edge=False, header_style="bold")
    for settings, status in board.statuses.values():
        queues.add_row(*(Text(cell) for cell in queue_row(settings, status, now_ms)))
    if not board.live:
        return Group(queues)
    runs = Table(*RUN_COLUMNS, box=None, pad_edge=False, header_style="bold")
    for live in board.live.values():
        progress = board.progress.get((live.queue, live.job_id), "")
        runs.add_row(*(Text(cell) for cell in (live.queue, live.job_id, live.paper, str(live.attempt), progress)))
    return Group(queues, Text(), runs)


def queue_row(settings: QueueSettings, status: QueueStatus, now_ms: int) -> tuple[str, ...]:
    """One queue's cells, in the words of `kubectl get paperqueues`."""
    next_start = status.next_start_at
    return (
        settings.queue,
        f"{status.live}/{status.concurrency}",
        show_rate(status.window_used, status.rate_limit),
        str(status.counts.waiting),
        str(status.counts.delayed),
        str(status.counts.failed),
        f"in {max(0, next_start - now_ms) / 1000:.0f} s" if next_start is not None else "",
        status.reason,
    )


def show_rate(used: int, limit: RateLimit | None) -> str:
    """Use of the window: "7/10 per 60s"."""
    return f"{used}/{limit.max} per {limit.per_ms / 1000:g}s" if limit is not None else "no limit"
