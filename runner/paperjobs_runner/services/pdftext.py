"""Text of a PDF by pypdf, in a child process: a hostile file may be slow or hungry, and must only cost its child."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import PaperUnreadable, Temporary
from paperjobs_runner.services import pdftext_child

WALL_S: Final = 120.0
"""Seconds; a 30-page paper takes under 2. A busy machine may be slower than the child's own CPU limit."""

PAPERS_FAULT: Final = (-signal.SIGXCPU, -signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS)
"""Ends of the child that the same file would bring about again: no time left, or nesting that broke the C stack."""


def pdf_pages(pdf: Path, deadline: Deadline) -> list[str]:
    """The raw text of each page; raises PaperUnreadable."""
    # The file is run by its path and with an empty environment: no secret, no settings, no package of ours is in there.
    command = [sys.executable, "-I", pdftext_child.__file__, str(pdf)]
    limit = deadline.limit(WALL_S)
    try:
        child = subprocess.run(command, capture_output=True, timeout=limit, env={}, check=False)
    except subprocess.TimeoutExpired:
        raise Temporary(f"reading the PDF took longer than {limit:.3g} s") from None
    if child.returncode == pdftext_child.UNREADABLE:
        raise PaperUnreadable(f"the PDF cannot be read ({child.stderr.decode('utf-8', 'replace').strip()[:100]})")
    if child.returncode in (pdftext_child.TOO_MUCH, *PAPERS_FAULT):
        raise PaperUnreadable("the PDF cannot be read: it needs more time or memory than a paper should")
    if child.returncode < 0:
        # Not the paper's fault, as far as one can tell: a SIGTERM, or the SIGKILL of a pod that is short of memory.
        raise Temporary(f"the PDF reader was ended by signal {-child.returncode}")
    if child.returncode != 0:
        raise Temporary(f"the PDF reader failed (exit code {child.returncode})")
    pages = json.loads(child.stdout)
    return [str(page) for page in pages]
