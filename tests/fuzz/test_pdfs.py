"""Broken and hostile PDFs: each is read, or cannot be read; none kills more than its child."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import PaperUnreadable, RunnerError
from paperjobs_runner.services import pdftext_child
from paperjobs_runner.services.pdftext import PAPERS_FAULT, pdf_pages
from paperjobs_standins.papers import pdf_of, sample_papers
from support import pdf_children
from support.fuzzing import cases, judged, mutated_bytes
from support.hostile_pdfs import encrypted, hostile_pdfs

HOSTILE: Final = hostile_pdfs()
CPU_SECONDS: Final = 4
"""Of a mutated PDF; the sample papers need less than one."""


def read_by_children(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """How the child process ends for each file, two at a time."""
    command = [sys.executable, "-I", pdf_children.__file__, pdftext_child.__file__, str(CPU_SECONDS)]
    names = [str(path) for path in paths]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for number, worker in enumerate(workers):
        assert worker.stdin is not None
        worker.stdin.write("".join(f"{name}\n" for name in names[number::2]))
        worker.stdin.close()
    ended = []
    for worker in workers:
        assert worker.stdout is not None
        ended += [json.loads(line) for line in worker.stdout]
        worker.stdout.close()
        assert worker.wait() == 0
    assert len(ended) == len(names)
    return ended


def test_mutated_papers_are_read_or_refused_and_nothing_else(tmp_path: Path) -> None:
    originals = [pdf_of(paper) for paper in sample_papers()]
    originals = sorted(originals, key=len)[:8] + [content for content in HOSTILE.values() if 200 < len(content) < 5000]
    paths = []
    for number, (_case, chance) in enumerate(cases("pdf", 1500)):
        path = tmp_path / f"{number}.pdf"
        path.write_bytes(mutated_bytes(chance.choice(originals), chance))
        paths.append(path)
    ended = read_by_children(paths)
    fine = {0, pdftext_child.UNREADABLE, pdftext_child.TOO_MUCH, *PAPERS_FAULT}
    assert [one for one in ended if one["code"] not in fine] == []
    assert [one for one in ended if one["code"] == 0 and one["pages"] is None] == []
    assert sum(one["code"] == 0 for one in ended) > len(ended) / 4, "mutated beyond recognition: nothing is tested"


@pytest.mark.parametrize("trick", HOSTILE)
def test_a_hostile_pdf_is_read_or_refused_by_the_real_child(trick: str, tmp_path: Path) -> None:
    file = tmp_path / "paper.pdf"
    file.write_bytes(HOSTILE[trick])
    ended = judged(trick, lambda: pdf_pages(file, Deadline.after(100)))
    if isinstance(ended, RunnerError):
        assert isinstance(ended, PaperUnreadable), f"{trick}: {ended.message}; another try would end in the same way"
    else:
        assert len(ended) <= pdftext_child.MAX_PAGES
        assert sum(map(len, ended)) <= pdftext_child.MAX_CHARACTERS


def test_a_pdf_whose_user_password_is_empty_is_read(tmp_path: Path) -> None:
    file = tmp_path / "paper.pdf"
    file.write_bytes(encrypted(""))
    assert pdf_pages(file, Deadline.after(60)) == ["secret"]
