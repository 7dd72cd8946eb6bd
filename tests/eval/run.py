"""Runs pipelines on papers, as jobs of their own, and reads what they stored.

services ▶ for each paper a new database ▶ for each pipeline a run by the runner's entry point ▶ read the views
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from eval.found import found_in, planted_in
from eval.score import FieldScore, compare
from eval.services import Services
from eval.truth import truth_of
from paperjobs_runner.contract import TERMINATION_LOG, Assignment
from paperjobs_runner.store.migrate import upgrade
from paperjobs_runner.store.read import read_results
from paperjobs_standins.papers import SamplePaper, pdf_of
from support.tools import ROOT

TIMEOUT_S: Final = 300
"""Of one run; a real service takes most of a minute for a long paper."""
_INHERITED: Final = ("PATH", "HOME", "LANG", "PYTHONPYCACHEPREFIX", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY")

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One pipeline on one paper."""

    pipeline: str
    code: int
    seconds: float
    calls: Counter[str]
    """Requests to each stand-in."""


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One paper: how its runs went, and how what they stored compares with the truth."""

    paper: SamplePaper
    runs: tuple[Run, ...]
    fields: dict[str, FieldScore]
    planted: tuple[str, ...]
    """Words of the paper's hostile text that got into what is stored."""


def evaluate(
    papers: Sequence[SamplePaper],
    pipelines: Sequence[str],
    services: Services,
    folder: Path,
    environ: dict[str, str],
    say: Say,
) -> list[Evaluated]:
    """Every pipeline on every paper; the runs' logs are in `folder`/runs.log."""
    empty = folder / "empty.db"
    upgrade(f"sqlite:///{empty}")
    done = []
    with open(folder / "runs.log", "wb") as log, _worker(log, environ) as work:
        for paper in papers:
            pdf_of(paper)  # typeset before the clock runs
            own = folder / paper.arxiv_id.replace("/", "-")
            own.mkdir()
            shutil.copy(empty, own / "papers.db")
            base = {name: environ[name] for name in _INHERITED if name in environ} | dict(services.env)
            runs = [_run(work, base, pipeline, paper, own, services) for pipeline in pipelines]
            failed = [f"{one.pipeline} ended with {one.code}" for one in runs if one.code]
            say(f"{paper.arxiv_id}: {', '.join(failed) or 'done'}")
            done.append(_judged(paper, runs, own))
    return done


def _judged(paper: SamplePaper, runs: Sequence[Run], own: Path) -> Evaluated:
    stored = read_results(f"sqlite:///{own}/papers.db")
    return Evaluated(
        paper=paper,
        runs=tuple(runs),
        fields=compare(found_in(stored[0]) if stored else {}, truth_of(paper)),
        planted=planted_in(stored[0], paper.planted) if stored else (),
    )


def _run(
    work: Callable[[dict[str, str]], dict[str, Any]],
    base: dict[str, str],
    pipeline: str,
    paper: SamplePaper,
    own: Path,
    services: Services,
) -> Run:
    assignment = Assignment(
        queue=pipeline,
        prefix="bull",
        pipeline=pipeline,
        job_id="1",
        job_name="",
        run=f"{pipeline}-eval",
        claim=1,
        attempt=1,
        payload=json.dumps({"paperId": paper.arxiv_id, "arxivUrl": paper.abs_url}),
        timeout_seconds=TIMEOUT_S,
    )
    env = base | assignment.to_env()
    env |= {
        "DATABASE_URL": f"sqlite:///{own}/papers.db",
        "PAPERJOBS_STORAGE_DIR": str(own / "files"),
        TERMINATION_LOG: str(own / f"{pipeline}.termination"),
    }
    services.take_calls()
    ended = work(env)
    return Run(pipeline=pipeline, code=ended["code"], seconds=ended["seconds"], calls=services.take_calls())


@contextmanager
def _worker(log: IO[bytes], environ: dict[str, str]) -> Iterator[Callable[[dict[str, str]], dict[str, Any]]]:
    """A process that does one run after the other (worker.py)."""
    env = environ | {"PYTHONPATH": str(ROOT / "tests")}
    command = [sys.executable, "-m", "eval.worker"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=env)
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        raise RuntimeError("the worker has no pipes")

    def work(run: dict[str, str]) -> dict[str, Any]:
        stdin.write(json.dumps(run) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"the worker has died; its last words are in {log.name}")
        ended: dict[str, Any] = json.loads(line)
        return ended

    try:
        yield work
    finally:
        stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        stdout.close()
