"""A short storm with a fixed seed, over all the real parts; `make chaos` is the long one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from chaos.storm import rage

SEED: Final = 716
"""Its first calamities are of many kinds: both servers killed, a leader paused, a pod deleted, another OOMKilled."""
KILLS: Final = 12


@pytest.mark.timeout(420)
async def test_in_a_storm_of_kills_and_faults_nothing_is_lost_repeated_or_started_beyond_a_limit(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    report = await rage(tmp_path, seed=SEED, kills=KILLS, fsync="always", say=told.append)
    summary = json.dumps(report.summary, indent=2)
    again = f'again: make chaos CHAOS_ARGS="--seed {SEED} --kills {KILLS}"; logs in {tmp_path}'
    assert report.violations == [], "\n".join((summary, *told, again))
    assert report.summary["kills"] >= KILLS
    assert report.summary["jobs"]["added"] > KILLS
