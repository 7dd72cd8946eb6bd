"""Runs of `paperjobs_runner.run` one after the other in one process, so that its start is paid once.

In: one environment a line, as JSON. Out: one line each with the exit code and the seconds that the run took. The log
lines of the runs go to standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time


def main() -> None:
    """Until the input ends."""
    from paperjobs_runner import interrupt
    from paperjobs_runner.run import run

    for line in sys.stdin:
        env = json.loads(line)
        os.environ.clear()
        os.environ.update(env)
        interrupt.install()  # as the command does; forgets the SIGTERM handling of the run before
        started = time.monotonic()
        with contextlib.redirect_stdout(sys.stderr):
            code = run(env)
        print(json.dumps({"code": int(code), "seconds": time.monotonic() - started}), flush=True)


if __name__ == "__main__":
    main()
