"""`python -m bench [FIGURE …] [--json PATH]`: measure, print a table, write JSON. Asserts nothing.

Every figure stands beside a baseline of the same run, because times alone say more about the machine than about us.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bench import (
    failover,
    idle,
    latency,
    limitedit,
    pipelines,
    restart,
    runner_run,
    runner_start,
    scale,
    slots,
    throughput,
    writes,
)
from bench.figure import Figure, document, table
from bench.machine import MachineLoad

MEASURES: Final[dict[str, Callable[[Path], list[Figure]]]] = {
    "latency": latency.measure,
    "writes": writes.measure,
    "throughput": throughput.measure,
    "slots": slots.measure,
    "failover": failover.measure,
    "limit-edit": limitedit.measure,
    "restart": restart.measure,
    "finished": scale.measure_finished,
    "waiting": scale.measure_waiting,
    "runner-start": runner_start.measure,
    "runner-run": runner_run.measure,
    "pipelines": pipelines.measure,
    "idle": idle.measure,
}
"""In the order in which they are measured; each in a folder of its own."""


def main(argv: Sequence[str]) -> int:
    """Measure what is asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"all of {', '.join(MEASURES)} unless named")
    parser.add_argument("--json", type=Path, default=Path(tempfile.gettempdir()) / "paperjobs-bench.json")
    options = parser.parse_args(argv)
    if unknown := sorted(set(options.figures) - set(MEASURES)):
        parser.error(f"no figure {', '.join(unknown)}: choose from {', '.join(MEASURES)}")
    # As in an image: Python may keep what it compiles.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    whole, figures = MachineLoad(), list[Figure]()
    loads = {}
    for name in options.figures or MEASURES:
        started, load = time.monotonic(), MachineLoad()
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix=f"paperjobs-bench-{name}-") as folder:
            figures += MEASURES[name](Path(folder))
        loads[name] = load.since() | {"seconds": round(time.monotonic() - started)}
    machine = whole.since() | {"during": loads}
    print(table(figures))
    print(
        f"\n{machine['coresBusy']} of {machine['cores']} cores were busy on average, load {machine['loadBefore'][0]} "
        f"before and {machine['loadAfter'][0]} after; everything: {options.json}"
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(document(machine, figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
