"""Budgets on a laptop: those of real services are kept as in a cluster, stand-ins have none."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from redis import Redis

from paperjobs.local.session import without_budgets_of
from paperjobs.local.statedir import StateDir
from paperjobs.seed import ADOBE, ANTHROPIC, ARXIV, SEED_QUEUES
from paperjobs_runner.contract import BUDGET_LIMITS
from paperjobs_standins.server import Standins
from support.local_command import clean_env, paperjobs, run_paperjobs

PAPERS = ("1706.03762", "1412.6980")

QUEUES = """
kind: ApiBudget
metadata: {name: arxiv}
spec: {limit: {max: 1, per: 1500ms}}
---
kind: PaperQueue
metadata: {name: papers}
spec: {queue: papers, pipeline: institution-extraction, concurrency: 2, budgets: [arxiv, adobe, anthropic]}
"""


def test_two_runs_keep_the_interval_of_a_real_service_together_and_its_429_holds_the_queue(tmp_path: Path) -> None:
    (tmp_path / "queues.yaml").write_text(QUEUES)
    state = str(tmp_path / "state")
    with Standins(["arxiv"]) as elsewhere:
        elsewhere.arxiv.fault("status", status=429, retry_after=3)
        # A session that is told where arXiv is takes it for the real one.
        env = clean_env() | elsewhere.arxiv.env()
        arguments = ("local", "--state-dir", state, "--port", "0", "--queues", str(tmp_path / "queues.yaml"))
        with paperjobs(*arguments, env=env) as local:
            local.wait_for("serving papers")
            for paper in PAPERS:
                url = f"https://arxiv.org/abs/{paper}"
                done = run_paperjobs(
                    ["enqueue", "papers", "--state-dir", state, "--paper-id", paper, "--arxiv-url", url]
                )
                assert done.returncode == 0, done.stderr
            local.wait_for("completed in", times=2, seconds=90)
            assert "failed" not in local.output
            session = StateDir(tmp_path / "state").session()
            assert session is not None
            with Redis(host=session.redis_host, port=session.redis_port, decode_responses=True) as client:
                made = [int(at) for _, at in client.zrange(ARXIV.key("calls"), 0, -1, withscores=True)]
                limits = client.hgetall(BUDGET_LIMITS)
        assert len(made) == len(elsewhere.arxiv.requests) == 5
    assert all(later - earlier > 1_500 for earlier, later in pairwise(made))
    assert made[1] - made[0] >= 2_900, "the service's own wait, for both runs"
    assert limits == {"arxiv": "1/1500"}, "stand-ins have no budgets, not even for others on this Redis"


def test_only_real_services_have_budgets() -> None:
    queue = SEED_QUEUES[0]
    assert queue.budgets == (ARXIV, ADOBE, ANTHROPIC)
    assert without_budgets_of(frozenset({"arxiv", "adobe", "s3"}), queue).budgets == (ANTHROPIC,)
    assert without_budgets_of(frozenset(), queue) == queue
