"""Reads many PDFs as the runner's child does, each in a process of its own that is forked instead of started.

`python -I pdf_children.py CHILD CPU_SECONDS`: paths on standard input; for each a line of JSON on standard output:
path, exit code (negative: the signal), seconds, and how many texts were written. Small on purpose: a forked process
begins with what this one holds, and the child's memory limit counts that too.
"""

import importlib.util
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable

WALL_S = 60


def main(child_file: str, cpu_seconds: int) -> None:
    spec = importlib.util.spec_from_file_location("pdftext_child", child_file)
    assert spec is not None
    assert spec.loader is not None
    child = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(child)
    child.CPU_S = cpu_seconds  # type: ignore[attr-defined]  # the real limit would be too long for thousands
    import pypdf  # noqa: F401  # once, for all

    for line in sys.stdin:
        path = line.rstrip("\n")
        begun = time.monotonic()
        with tempfile.TemporaryFile("w+") as written:
            code = _forked(child.main, path, written.fileno())
            written.seek(0)
            pages = _pages(written.read()) if code == 0 else None
        seconds = round(time.monotonic() - begun, 2)
        print(json.dumps({"path": path, "code": code, "seconds": seconds, "pages": pages}), flush=True)


def _forked(read: Callable[[str], int], path: str, output: int) -> int:
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.dup2(output, 1)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            code = read(path)
            sys.stdout.flush()
        except BaseException:
            code = 1  # as the interpreter ends after a traceback
        os._exit(code)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(pid, signal.SIGKILL))
    signal.alarm(WALL_S)
    _, status = os.waitpid(pid, 0)
    signal.alarm(0)
    return os.waitstatus_to_exitcode(status)


def _pages(text: str) -> "int | None":
    """How many texts the list holds; None when it is no such list."""
    try:
        pages = json.loads(text)
    except ValueError:
        return None
    return len(pages) if isinstance(pages, list) and all(isinstance(page, str) for page in pages) else None


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
