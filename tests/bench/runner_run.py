"""Figure: a whole run of institution-extraction, its time and its peak memory, with Adobe and without.

The stand-ins answer at once and the database is SQLite, so the time is the runner's own and that of the stand-ins,
which compute their answers on the same machine. Baseline: `python -c pass`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

from bench.assigned import COMMAND, Surroundings, bare_environment, migrate, surroundings
from bench.figure import Figure
from bench.peakmemory import Usage, followed
from bench.quantile import summary
from paperjobs_standins.papers import SamplePaper, sample_papers

RUNS: Final = 5
BARE: Final = "python -c pass, start to end"


def measure(folder: Path) -> list[Figure]:
    """Time and memory for each of the two ways to a paper's text; every run has a paper of its own."""
    papers = sample_papers()
    figures: list[Figure] = []
    with surroundings(folder) as around:
        _run(around, papers[-1], adobe=True)  # the stand-ins import what they need
        for adobe, name in ((True, "Adobe"), (False, "pypdf")):
            chosen = papers[:RUNS] if adobe else papers[RUNS : 2 * RUNS]
            runs = [_run(around, paper, adobe=adobe) for paper in chosen]
            bare = [followed([sys.executable, "-c", "pass"], bare_environment()) for _ in range(RUNS)]
            figures += _figures(name, runs, bare)
    return figures


def _figures(name: str, runs: Sequence[Usage], bare: Sequence[Usage]) -> list[Figure]:
    seconds = [one.seconds for one in runs]
    return [
        Figure(
            name=f"runner: whole run, text by {name}, time, p50",
            unit="s",
            value=median(seconds),
            baseline_name=BARE,
            baseline=median(one.seconds for one in bare),
            details=summary(seconds),
        ),
        Figure(
            name=f"runner: whole run, text by {name}, peak memory of the largest process",
            unit="MiB",
            value=max(one.largest for one in runs),
            baseline_name=BARE,
            baseline=max(one.largest for one in bare),
            details={
                "itself": round(max(one.itself for one in runs), 1),
                "largestChild": round(max(one.child for one in runs), 1),
                "together": round(max(one.together for one in runs), 1),
            },
        ),
    ]


def _run(around: Surroundings, paper: SamplePaper, *, adobe: bool) -> Usage:
    environment = around.environment(paper)
    if not adobe:
        environment = {name: value for name, value in environment.items() if not name.startswith("ADOBE_")}
    migrate(environment)
    return followed(COMMAND, environment)
