"""`python -m chaos [--seed N] [--kills N] [--fsync always|everysec] [--json PATH]`: kill operators and judge.

Prints what it does, a summary, and how to do it again; exits with 1 when anything promised was violated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from chaos.storm import rage


def main(argv: Sequence[str]) -> int:
    """One run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="which jobs, points, calamities")
    parser.add_argument("--kills", type=int, default=220, help="operators killed (220)")
    parser.add_argument(
        "--fsync",
        choices=("always", "everysec"),
        default="always",
        help="Valkey's appendfsync: with everysec a kill loses a second, so limits are not judged",
    )
    parser.add_argument("--json", type=Path, default=Path(tempfile.gettempdir()) / "paperjobs-chaos.json")
    options = parser.parse_args(argv)
    # As in an image: Python may keep what it compiles.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    folder = Path(tempfile.mkdtemp(prefix="paperjobs-chaos-"))
    print(f"seed {options.seed}, {options.kills} kills, appendfsync {options.fsync}; logs in {folder}", flush=True)

    def say(text: str) -> None:
        print(text, flush=True)

    report = asyncio.run(rage(folder, seed=options.seed, kills=options.kills, fsync=options.fsync, say=say))
    told = json.dumps(report.summary, indent=2)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(told)
    print(told)
    if report.violations:
        again = f'make chaos CHAOS_ARGS="--seed {options.seed} --kills {options.kills} --fsync {options.fsync}"'
        print(f"{len(report.violations)} violations; logs are in {folder}; the same seed again: {again}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
