"""`paperjobs demo`: what a newcomer sees."""

from __future__ import annotations

from pathlib import Path

from paperjobs_standins.papers import sample_papers
from support.local_command import clean_env, run_paperjobs


def test_the_demo_finds_the_institutions_of_the_sample_papers_and_ends_by_itself(tmp_path: Path) -> None:
    # Somebody's real services in the environment: the demo must not even look at them.
    trap = {"REDIS_HOST": "redis.invalid", "DATABASE_URL": "postgresql://nobody@db.invalid/x", "ANTHROPIC_API_KEY": "k"}

    demo = run_paperjobs(["demo"], env=clean_env(TMPDIR=str(tmp_path), **trap), seconds=240)

    assert demo.returncode == 0, demo.stdout + demo.stderr
    papers = sample_papers()
    assert f"{len(papers)} of {len(papers)} jobs completed" in demo.stdout
    assert all(paper.arxiv_id in demo.stdout for paper in papers)
    # Three papers of different styles, with the number of their authors at each institution.
    for found in ("Google Brain (3)", "Massachusetts Institute of Technology (2)", "Harvard University (1)"):
        assert found in demo.stdout
    assert not list(tmp_path.iterdir()), "the demo left something behind"
