"""`paperjobs-runner` as the operator starts it: a process with an environment, an exit code, a termination message."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from paperjobs_runner.contract import ExitCode, Report
from paperjobs_standins.server import Standins

COMMAND: Final = (sys.executable, "-m", "paperjobs_runner")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended."""

    code: int
    report: Report | None
    output: str


def environment(standins: Standins, new_database: Path, folder: Path) -> dict[str, str]:
    """A run's environment: nothing of ours, the stand-ins, a copy of an SQLite database with tables, an assignment."""
    shutil.copy(new_database, folder / "papers.db")
    env = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "PYTHONPYCACHEPREFIX")}
    return (
        env
        | standins.env()
        | {
            "DATABASE_URL": f"sqlite:///{folder}/papers.db",
            "PAPERJOBS_QUEUE": "institution-extraction",
            "PAPERJOBS_PREFIX": "bull",
            "PAPERJOBS_PIPELINE": "institution-extraction",
            "PAPERJOBS_JOB_ID": "7",
            "PAPERJOBS_RUN": "institution-extraction-abc",
            "PAPERJOBS_CLAIM": "1",
            "PAPERJOBS_ATTEMPT": "1",
            "PAPERJOBS_TIMEOUT_SECONDS": "120",
            "PAPERJOBS_PAYLOAD": json.dumps({"paperId": "p-1", "arxivUrl": "https://arxiv.org/abs/1706.03762"}),
            "PAPERJOBS_TERMINATION_LOG": str(folder / "termination-log"),
        }
    )


def of_pipeline(env: Mapping[str, str], pipeline: str, claim: int = 1) -> dict[str, str]:
    """The environment of a run of that pipeline for that claim of its job."""
    return {
        **env,
        "PAPERJOBS_QUEUE": pipeline,
        "PAPERJOBS_PIPELINE": pipeline,
        "PAPERJOBS_RUN": f"{pipeline}-{claim}",
        "PAPERJOBS_CLAIM": str(claim),
    }


def result_of(ended: Ended) -> Mapping[str, Any]:
    """The return value of a run that must have ended well."""
    assert ended.code == ExitCode.DONE, ended.output
    assert ended.report is not None
    assert ended.report.result is not None
    return ended.report.result


def start(env: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a run and do not wait for it."""
    return subprocess.Popen(COMMAND, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(env: Mapping[str, str]) -> Ended:
    """Run to the end."""
    return end_of(env, start(env))


def end_of(env: Mapping[str, str], process: subprocess.Popen[str], seconds: float = 90) -> Ended:
    """Wait for a run that was started with `env`."""
    try:
        output, _ = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return Ended(
        code=process.returncode, report=Report.decode(Path(env["PAPERJOBS_TERMINATION_LOG"]).read_text()), output=output
    )
