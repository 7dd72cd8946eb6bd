"""A runner for cluster tests that does as its payload says.

    {"seconds": 1, "exit": 0, "report": {...}, "echo": ["HOME"]}

Started as a program by the test node, so it has nothing but the standard library and the contract's variables.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Final

SCRIPTED_IMAGE: Final = "scripted-runner:test"
"""On the test node this image stands for this program."""

ENTRYPOINT: Final = (sys.executable, str(Path(__file__).resolve()))


def main() -> int:
    """Sleep, report, and end with the exit code that was asked for."""
    payload = json.loads(os.environ.get("PAPERJOBS_PAYLOAD") or "{}")
    time.sleep(payload.get("seconds", 0))
    log = Path(os.environ.get("PAPERJOBS_TERMINATION_LOG", "/dev/termination-log"))
    report = payload.get("report", {})
    if "echo" in payload:
        report["result"] = {name: os.environ.get(name) for name in payload["echo"]}
    log.write_text(json.dumps(report))
    return int(payload.get("exit", 0))


if __name__ == "__main__":
    sys.exit(main())
