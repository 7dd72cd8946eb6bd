"""How long a run may go on, as a table of situations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paperjobs.engine.allowance import REPORT_MARGIN_MS, allowance
from paperjobs.model import HELD_BACK, POD_REFUSED, OutcomeKind, Run, RunPhase, TimeLimits

MADE = 1_000_000
PENDING = Run(
    name="q-1",
    job_id="7",
    claim=1,
    attempt=1,
    phase=RunPhase.PENDING,
    created_at=MADE,
    limits=TimeLimits(start_s=1800, fault_s=180, run_s=600),
)
NO_IMAGE = replace(PENDING, waiting_for="ImagePullBackOff", waiting_message="Back-off", faulty_since=MADE + 60_000)
NO_NODE = replace(PENDING, waiting_for="Unschedulable", waiting_message="0/3 nodes are available")
NO_POD = replace(PENDING, waiting_for=POD_REFUSED, waiting_message="exceeded quota")
RUNNING = replace(PENDING, phase=RunPhase.RUNNING, started_at=MADE + 480_000)


@pytest.mark.parametrize(
    ("run", "until", "kind", "reason", "words"),
    [
        pytest.param(
            PENDING, MADE + 1_800_000, OutcomeKind.FAILED, "DeadlineExceeded", "raise spec.startTimeout", id="no news"
        ),
        pytest.param(
            NO_NODE,
            MADE + 1_800_000,
            OutcomeKind.FAILED,
            "Unschedulable",
            "within 1800 s, its queue's startTimeout: Unschedulable: 0/3 nodes are available",
            id="no node: as long as it may take to start",
        ),
        pytest.param(
            NO_IMAGE,
            MADE + 240_000,
            OutcomeKind.FAILED,
            "ImagePullBackOff",
            "for 180 s, its queue's imageGrace: ImagePullBackOff: Back-off",
            id="no image: from when that was first seen",
        ),
        pytest.param(
            replace(NO_IMAGE, faulty_since=MADE + 1_790_000),
            MADE + 1_800_000,
            OutcomeKind.FAILED,
            "ImagePullBackOff",
            "startTimeout",
            id="no image, late: never longer than it may take to start",
        ),
        pytest.param(
            NO_POD,
            MADE + 1_800_000,
            OutcomeKind.NEVER_RAN,
            POD_REFUSED,
            "exceeded quota",
            id="no pod: not the job's fault, so no attempt is lost",
        ),
        pytest.param(
            RUNNING,
            MADE + 480_000 + 600_000 + REPORT_MARGIN_MS,
            OutcomeKind.FAILED,
            "DeadlineExceeded",
            "raise spec.timeout",
            id="eight minutes of waiting take nothing from the time to run",
        ),
        pytest.param(
            replace(RUNNING, started_at=MADE - 60_000),
            MADE + 600_000 + REPORT_MARGIN_MS,
            OutcomeKind.FAILED,
            "DeadlineExceeded",
            "600 s",
            id="a node whose clock is behind",
        ),
    ],
)
def test_a_run_may_go_on_until_its_limit_and_ends_with_its_own_reason(
    run: Run, until: int, kind: OutcomeKind, reason: str, words: str
) -> None:
    limit = allowance(run)
    assert limit is not None
    assert (limit.until, limit.outcome.kind, limit.outcome.reason) == (until, kind, reason)
    assert words in limit.outcome.message


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(replace(PENDING, limits=None), id="somebody else keeps its limits"),
        pytest.param(replace(PENDING, waiting_for=HELD_BACK), id="its Job is suspended"),
        pytest.param(replace(RUNNING, started_at=None), id="its start is not known yet"),
        pytest.param(replace(RUNNING, phase=RunPhase.TERMINATING), id="it is ending already"),
        pytest.param(replace(RUNNING, phase=RunPhase.ENDED), id="it has ended"),
    ],
)
def test_nothing_ends_a_run_that_has_no_limit_now(run: Run) -> None:
    assert allowance(run) is None
