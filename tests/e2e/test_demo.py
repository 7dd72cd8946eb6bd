"""`paperjobs demo`: what a newcomer sees."""

from __future__ import annotations

from pathlib import Path

from paperjobs.seed import SEED_QUEUES
from paperjobs_standins.papers import sample_papers
from support.local_command import clean_env, run_paperjobs


def test_the_demo_runs_the_sample_papers_through_all_four_queues_shows_what_was_found_and_ends(tmp_path: Path) -> None:
    # Somebody's real services in the environment: the demo must not even look at them.
    trap = {"REDIS_HOST": "redis.invalid", "DATABASE_URL": "postgresql://nobody@db.invalid/x", "ANTHROPIC_API_KEY": "k"}

    demo = run_paperjobs(["demo"], env=clean_env(TMPDIR=str(tmp_path), **trap), seconds=240)

    assert demo.returncode == 0, demo.stdout + demo.stderr
    jobs = len(sample_papers()) * len(SEED_QUEUES)
    assert f"{jobs} of {jobs} jobs completed" in demo.stdout
    assert all(paper.arxiv_id in demo.stdout for paper in sample_papers())
    # Of three papers in different styles: institutions with the number of their authors there.
    for found in ("Google Brain (3)", "OpenAI (12)", "Harvard University (1)"):
        assert found in demo.stdout
    block = "\n".join(line.rstrip() for line in demo.stdout.splitlines()).partition("Attention Is All You Need\n")[2]
    rows = {row.split()[0]: row for row in block.partition("\n\n")[0].splitlines()}
    assert "Ashish Vaswani" in rows["authors"]
    assert "cs.CL" in rows["categories"]
    assert not rows["tags"].endswith("none found")
    assert {"abstract", "methods", "results"} <= set(rows)
    assert not list(tmp_path.iterdir()), "the demo left something behind"
