"""What a local session says about its work, and remembers of it for the table."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from paperjobs.errors import RedisUnavailable
from paperjobs.local.board import Board
from paperjobs.local.statedir import StateDir
from paperjobs.local.table import queue_row, render
from paperjobs.model import Claim, Counts, Job, Outcome, OutcomeKind, QueueStatus, RateLimit, Run, RunPhase
from paperjobs.seed import SEED_QUEUES

QUEUE = SEED_QUEUES[0]
JOB = Job(id="7", name="q", claim=Claim(number=1, token="t"), attempts_made=0, data='{"paperId": "p-1"}')
RUN = Run(
    name="run-7", job_id="7", claim=1, attempt=1, phase=RunPhase.ENDED, created_at=0, started_at=1_000, ended_at=3_500
)
STATUS = QueueStatus(
    counts=Counts(waiting=12, delayed=1, failed=2),
    live=2,
    concurrency=2,
    window_used=7,
    rate_limit=RateLimit(max=10, per_ms=60_000),
    next_start_at=15_000,
    reason="ConcurrencyFull",
)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def board(tmp_path: Path, said: list[str]) -> Board:
    return Board(StateDir.at(tmp_path), said.append)


def test_a_start_and_an_end_are_one_line_each(board: Board, said: list[str]) -> None:
    board.launched(QUEUE, JOB, "run-7")
    board.settled(QUEUE, RUN, Outcome(kind=OutcomeKind.COMPLETED, reason="Completed"))

    assert said == [
        "institution-extraction: job 7 started (p-1)",
        "institution-extraction: job 7 (p-1) completed in 2.5 s",
    ]
    assert not board.live


def test_a_hold_is_told_once_with_the_budget_it_is_about(board: Board, said: list[str]) -> None:
    held = replace(STATUS, reason="Held", message="the budget arxiv is held: its service asked run-7 to wait")
    for status in (STATUS, held, held, STATUS, held):
        board.ticked(QUEUE, status, 0.01)

    line = "institution-extraction: nothing starts for now: the budget arxiv is held: its service asked run-7 to wait"
    assert said == [line, line]


def test_a_second_attempt_says_so(board: Board, said: list[str]) -> None:
    board.launched(QUEUE, replace(JOB, attempts_made=1), "run-7")

    assert said == ["institution-extraction: job 7 started (p-1, attempt 2)"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (OutcomeKind.FAILED, "failed in attempt 1: PdfBroken: no text"),
        (OutcomeKind.NEVER, "failed for good: PdfBroken: no text"),
        (OutcomeKind.RATE_LIMITED, "returned to its queue, which is held: no text"),
        (OutcomeKind.DISRUPTED, "no attempt lost: no text"),
    ],
)
def test_an_end_says_what_it_means_for_the_job(board: Board, said: list[str], kind: OutcomeKind, words: str) -> None:
    board.settled(QUEUE, RUN, Outcome(kind=kind, reason="PdfBroken", message="no text"))

    assert words in said[0]


def test_a_crash_shows_the_end_of_what_the_run_printed(board: Board, said: list[str], tmp_path: Path) -> None:
    StateDir(tmp_path).log("run-7").write_text("\n".join(["one", "two", "three", "four", "x" * 500]))

    board.settled(QUEUE, RUN, Outcome(kind=OutcomeKind.FAILED, reason="Crashed", message="exit code 1"))

    assert said[1:] == ["    three", "    four", f"    {'x' * 160}"]


def test_a_payload_is_untrusted(board: Board, said: list[str]) -> None:
    for data in ('{"paperId": "a\\u001b[31mb"}', "[", "[1]", '{"paperId": {}}', "[" * 100_000):
        board.launched(QUEUE, replace(JOB, data=data), "run-7")

    assert said[0] == "institution-extraction: job 7 started (a?[31mb)"
    assert all(line.endswith("(no paper)") for line in said[1:])


def test_a_trouble_is_told_once_until_the_queue_works_again(board: Board, said: list[str]) -> None:
    for _ in range(3):
        board.tick_failed(QUEUE, RedisUnavailable("Redis: refused"))
    board.ticked(QUEUE, STATUS, 0.01)
    board.tick_failed(QUEUE, RedisUnavailable("Redis: refused"))

    assert len(said) == 2
    assert "Redis: refused" in said[0]


def test_troubles_of_jobs_settled_together_are_all_told(board: Board, said: list[str]) -> None:
    board.tick_failed(QUEUE, ExceptionGroup("unhandled", [RedisUnavailable("Redis: refused"), ValueError("odd")]))

    assert said[0].endswith("mended: Redis: refused; odd")


def test_a_row_has_the_words_of_kubectl_get_paperqueues() -> None:
    assert queue_row(QUEUE, STATUS, 3_000) == (
        "institution-extraction",
        "2/2",
        "7/10 per 60s",
        "12",
        "1",
        "2",
        "in 12 s",
        "ConcurrencyFull",
    )


def test_a_start_that_is_due_is_never_in_the_past() -> None:
    assert queue_row(QUEUE, STATUS, 99_000)[6] == "in 0 s"
    assert queue_row(QUEUE, replace(STATUS, next_start_at=None, rate_limit=None), 0)[2:7:4] == ("no limit", "")


def test_the_table_shows_queues_and_live_runs_with_their_progress(board: Board) -> None:
    board.ticked(QUEUE, STATUS, 0.01)
    board.launched(QUEUE, JOB, "run-7")
    board.progress[("institution-extraction", "7")] = "40% reading the PDF"
    console = Console(file=io.StringIO(), width=120)

    console.print(render(board, 3_000))

    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "7/10 per 60s" in shown
    assert "40% reading the PDF" in shown
