"""Local runs for tests: real processes of a program that does what its payload says, as a runner would."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from paperjobs.local.cluster import LocalCluster
from paperjobs.local.statedir import StateDir
from support.local_runs import Wakes, program


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir.at(tmp_path / "state")


@pytest.fixture
def wakes() -> Wakes:
    return Wakes()


@pytest.fixture
async def make_cluster(state: StateDir, wakes: Wakes) -> AsyncIterator[Callable[[], LocalCluster]]:
    """Make clusters over one state folder, as one session after another would; what still runs is ended after."""
    made: list[LocalCluster] = []

    def make() -> LocalCluster:
        cluster = LocalCluster(
            state=state,
            env={"PATH": "/usr/bin:/bin", "PAPERJOBS_PAYLOAD": "a leftover of the shell"},
            wake=wakes,
            command=(sys.executable, str(program(state.root))),
        )
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        await cluster.stop(grace_s=0)
