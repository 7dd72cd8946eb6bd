"""The child process that reads a PDF. Run as a file, isolated: `python -I pdftext_child.py FILE`.

Writes the pages' texts as a JSON list to standard output. Limits itself before the file is opened; whatever kills it,
the parent only sees a failed child.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypdf import PageObject

CPU_S = 60
"""Seconds of processor time."""
MEMORY_BYTES = 320 << 20
"""Address space, 11 MiB more than is really used. The sample papers need 45 MiB, a page of 5 MB of drawing 250 MiB.
With the run's own 150 MiB it stays under 512 MiB: else the kernel would end the whole pod in the child's place."""
MAX_PAGES = 200
MAX_PAGE_CHARACTERS = 100_000
MAX_CHARACTERS = 2_000_000
"""Of all pages together; a dense page has 8,000. The parent holds them all, in JSON of up to twelve bytes for one."""
UNREADABLE = 3
"""Exit code: the file is not a PDF that can be read; standard error names the kind of error."""
TOO_MUCH = 4
"""Exit code: the file needs more memory than MEMORY_BYTES; one that needs more time than CPU_S is ended by SIGXCPU."""


def main(path: str) -> int:
    """Print the pages of `path`; returns the exit code."""
    # The hard limit is higher: at that one Linux sends SIGKILL, which says nothing about whose fault it was.
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import logging

    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        # A file and not its path: pypdf would read a path whole into memory.
        with open(path, "rb") as file:
            # ASCII: lone surrogates, which pypdf can produce, cannot be written as UTF-8.
            sys.stdout.write(json.dumps(_texts(PdfReader(file).pages)))
    except (MemoryError, RecursionError):
        return TOO_MUCH
    except Exception as error:  # pypdf lets many kinds of error through for a broken file
        sys.stderr.write(type(error).__name__)
        return UNREADABLE
    return 0


def _texts(pages: Sequence[PageObject]) -> list[str]:
    texts: list[str] = []
    room = MAX_CHARACTERS
    for index in range(min(len(pages), MAX_PAGES)):
        texts.append(pages[index].extract_text()[: min(MAX_PAGE_CHARACTERS, room)])
        room -= len(texts[-1])
        if not room:
            break
    return texts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
