"""`python -m paperjobs_standins`: the stand-ins in the foreground, until SIGTERM or SIGINT.

Prints one line of JSON when ready: the environment variables that make the runner use them.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence

from paperjobs_standins.server import SERVICES, Standins


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to end; 0, or 1 when a port is taken."""
    parser = argparse.ArgumentParser(prog="python -m paperjobs_standins", description=__doc__)
    parser.add_argument("--service", action="append", choices=SERVICES, help="only this one; may be repeated")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    parser.add_argument("--port-base", type=int, default=0, help="first of five fixed ports (default: free ports)")
    options = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        standins = Standins(options.service, host=options.host, port_base=options.port_base)
    except OSError as error:
        sys.stderr.write(f"cannot listen on {options.host}: {error}\n")
        return 1
    with standins:
        sys.stdout.write(json.dumps(standins.env()) + "\n")
        sys.stdout.flush()
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
