"""The child process that reads a PDF. Run as a file, isolated: `python -I pdftext_child.py FILE`.

Writes the pages' texts as a JSON list to standard output. Limits itself before the file is opened; whatever kills it,
the parent only sees a failed child.
"""

from __future__ import annotations

import json
import resource
import sys

CPU_S = 60
"""Seconds of processor time."""
MEMORY_BYTES = 1 << 30
"""Address space; pypdf needs about 100 MB for a large paper."""
MAX_PAGES = 200
MAX_PAGE_CHARACTERS = 100_000
UNREADABLE = 3
"""Exit code: the file is not a PDF that can be read; standard error names the kind of error."""
TOO_MUCH = 4
"""Exit code: the file needs more memory than MEMORY_BYTES; one that needs more time than CPU_S is ended by SIGXCPU."""


def main(path: str) -> int:
    """Print the pages of `path`; returns the exit code."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import logging

    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        pages = PdfReader(path).pages
        texts = [pages[index].extract_text()[:MAX_PAGE_CHARACTERS] for index in range(min(len(pages), MAX_PAGES))]
    except (MemoryError, RecursionError):
        return TOO_MUCH
    except Exception as error:  # pypdf lets many kinds of error through for a broken file
        sys.stderr.write(type(error).__name__)
        return UNREADABLE
    # ASCII: lone surrogates, which pypdf can produce, cannot be written as UTF-8.
    sys.stdout.write(json.dumps(texts))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
