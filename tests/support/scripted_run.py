"""A runner for cluster tests that does as its payload says.

    {"seconds": 1, "exit": 0, "report": {...}, "echo": ["HOME"]}
    {"attempts": [{"exit": 75}, {"exit": 0}]}                        the n-th attempt does the n-th step
    {"first": {"exit": 69, "report": {"retryAfterMs": 200}}}         the first run of each attempt does this instead

Started as a program by the test node, so it has nothing but the standard library and the contract's variables. With
SCRIPTED_LOG it adds a line to that file when it starts and one when it ends: what ran, told by who ran.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

SCRIPTED_IMAGE: Final = "scripted-runner:test"
"""On the test node this image stands for this program."""

ENTRYPOINT: Final = (sys.executable, str(Path(__file__).resolve()))


def main() -> int:
    """Sleep, report, and end with the exit code that was asked for."""
    _log("start")
    payload = _step(json.loads(os.environ.get("PAPERJOBS_PAYLOAD") or "{}"))
    time.sleep(payload.get("seconds", 0))
    log = Path(os.environ.get("PAPERJOBS_TERMINATION_LOG", "/dev/termination-log"))
    report = payload.get("report", {})
    if "echo" in payload:
        report["result"] = {name: os.environ.get(name) for name in payload["echo"]}
    log.write_text(json.dumps(report))
    _log("end")
    return int(payload.get("exit", 0))


def _step(payload: dict[str, Any]) -> dict[str, Any]:
    """What this run does."""
    attempt = int(os.environ.get("PAPERJOBS_ATTEMPT") or 1)
    if "first" in payload and _is_first(attempt):
        first: dict[str, Any] = payload["first"]
        return first
    if "attempts" in payload:
        step: dict[str, Any] = payload["attempts"][attempt - 1]
        return step
    return payload


def _is_first(attempt: int) -> bool:
    """Whether no other run of this attempt has come here."""
    name = f"{os.environ['PAPERJOBS_QUEUE']}-{os.environ['PAPERJOBS_JOB_ID']}-{attempt}"
    try:
        Path(f"{os.environ['SCRIPTED_LOG']}-{name}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _log(event: str) -> None:
    if path := os.environ.get("SCRIPTED_LOG"):
        told = {"event": event, "at": time.time()} | {
            name: os.environ.get(f"PAPERJOBS_{name.upper()}") for name in ("queue", "job_id", "claim", "attempt", "run")
        }
        with open(path, "a") as log:  # appended in one write: lines of several runs do not mix
            log.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    sys.exit(main())
