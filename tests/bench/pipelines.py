"""Figure: each pipeline's cold start, run time and peak memory, and how many calls it makes to each service.

Every pipeline has a paper of its own that nobody read before (PDF from arXiv, text by Adobe); the second run finds PDF
and text in the storage. The stand-ins answer at once, on the same machine.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.assigned import (
    COMMAND,
    Surroundings,
    bare_environment,
    migrate,
    run_to_its_end,
    surroundings,
)
from bench.figure import Figure
from bench.front_door import FrontDoor, front_door
from bench.peakmemory import Usage, followed
from bench.runner_run import BARE
from paperjobs_runner.pipelines import PIPELINES
from paperjobs_standins.papers import SamplePaper, sample_papers
from paperjobs_standins.server import SERVICES

STARTS: Final = 5


def measure(folder: Path) -> list[Figure]:
    """Three figures for each pipeline."""
    papers = sample_papers()
    bare = [followed([sys.executable, "-c", "pass"], bare_environment()) for _ in range(STARTS)]
    figures: list[Figure] = []
    with surroundings(folder) as around, front_door(around.standins.arxiv.url) as door:
        for number, pipeline in enumerate(PIPELINES):
            figures += _figures(around, door, pipeline, papers[number], bare)
    return figures


def _figures(
    around: Surroundings, door: FrontDoor, pipeline: str, paper: SamplePaper, bare: list[Usage]
) -> list[Figure]:
    environment = _environment(around, pipeline, paper)
    around.standins.clear()
    first = followed(COMMAND, environment)
    first_calls = _calls(around)
    around.standins.clear()
    again = followed(COMMAND, environment)
    again_calls = _calls(around)
    starts = []
    behind = environment | {"ARXIV_API_URL": environment["ARXIV_API_URL"].replace(around.standins.arxiv.url, door.url)}
    for _ in range(STARTS):
        door.clear()
        around.forget_feeds()
        begun = time.monotonic()
        run_to_its_end(behind)
        starts.append(door.first_byte_at() - begun)
    print(f"{pipeline}: calls {first_calls}; text kept: {again_calls}", file=sys.stderr)
    return [
        Figure(
            name=f"{pipeline}: process start -> first byte to arXiv, p50",
            unit="s",
            value=median(starts),
            baseline_name=BARE,
            baseline=median(one.seconds for one in bare),
        ),
        Figure(
            name=f"{pipeline}: whole run, paper never read before",
            unit="s",
            value=first.seconds,
            baseline_name="the same, PDF and text kept",
            baseline=again.seconds,
            details={"calls": first_calls, "callsTextKept": again_calls},
        ),
        Figure(
            name=f"{pipeline}: peak memory, all processes together",
            unit="MiB",
            value=max(first.together, again.together),
            baseline_name=BARE,
            baseline=max(one.largest for one in bare),
            details={"largestProcess": round(max(first.largest, again.largest), 1)},
        ),
    ]


def _environment(around: Surroundings, pipeline: str, paper: SamplePaper) -> dict[str, str]:
    changed: dict[str, Any] = {"PAPERJOBS_QUEUE": pipeline, "PAPERJOBS_PIPELINE": pipeline}
    environment = around.environment(paper) | changed
    migrate(environment)
    return environment


def _calls(around: Surroundings) -> dict[str, int]:
    """Requests that each service has got; arXiv's and Adobe's each one, S3's objects too."""
    return {name: count for name in SERVICES if (count := len(getattr(around.standins, name).requests))}
