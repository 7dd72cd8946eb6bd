"""Figure: the runner's process start → its first byte to arXiv.

Baseline: the same interpreter's whole life with nothing to do (`python -c pass`), measured in turn.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bench.assigned import bare_environment, migrate, run_to_its_end, surroundings
from bench.figure import Figure
from bench.front_door import front_door
from bench.quantile import percentile, summary
from bench.target import Of, Target
from paperjobs_standins.papers import sample_papers

ROUNDS: Final = 15


def measure(folder: Path) -> list[Figure]:
    """The median start."""
    runner: list[float] = []
    bare: list[float] = []
    with surroundings(folder) as around, front_door(around.standins.arxiv.url) as door:
        environment = around.environment(sample_papers()[0])
        migrate(environment)
        environment["ARXIV_API_URL"] = environment["ARXIV_API_URL"].replace(around.standins.arxiv.url, door.url)
        for number in range(ROUNDS + 1):
            door.clear()
            around.forget_feeds()
            begun = time.monotonic()
            run_to_its_end(environment)
            arrived = door.first_byte_at()
            time.sleep(0.1)
            bare_begun = time.monotonic()
            subprocess.run([sys.executable, "-c", "pass"], env=bare_environment(), check=True)
            if number:  # the first round compiles and fills caches
                runner.append(arrived - begun)
                bare.append(time.monotonic() - bare_begun)
            time.sleep(0.1)
    above = percentile(runner, 50) - percentile(bare, 50)
    return [
        Figure(
            name="runner: process start -> first byte to a service, p50",
            unit="s",
            value=percentile(runner, 50),
            baseline_name="python -c pass, start to end",
            baseline=percentile(bare, 50),
            target=Target(0.3, Of.EXCESS),
            details={"aboveSeconds": round(above, 3), "runner": summary(runner), "barePython": summary(bare)},
        )
    ]
