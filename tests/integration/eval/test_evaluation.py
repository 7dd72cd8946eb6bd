"""The evaluation itself: the whole set against floors that were measured, and the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from eval.answers import FIELDS
from eval.report import field_totals, text
from eval.run import evaluate
from eval.services import NoKey, services
from paperjobs_runner.pipelines import PIPELINES
from paperjobs_standins.papers import all_papers
from support.tools import ROOT

FLOORS: Final = {
    "given names": (0.96, 0.96),
    "family names": (0.96, 0.96),
    "suffixes": (1, 1),
    "collaborations": (1, 1),
    "institutions": (0.97, 0.97),
    "departments": (0.92, 0.9),
    "countries": (0.97, 0.97),
    "links": (0.98, 0.98),
    "e-mails": (0.96, 0.96),
    "ORCID iDs": (1, 1),
    "corresponding": (0.9, 0.9),
    "categories": (1, 1),
    "tags": (0.62, 0.79),
    "abstract": (1, 1),
}
"""Least precision and recall with the stand-ins: a little below what was measured, so that one item may change."""
QUIET: Final = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "ADOBE_"))}


def command(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    env = QUIET | {"PYTHONPATH": str(ROOT / "tests"), **environ}
    return subprocess.run([sys.executable, "-m", "eval", *arguments], env=env, capture_output=True, text=True)


def test_every_pipeline_finds_what_it_found_when_it_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    papers = list(all_papers())
    with services(papers, {}, real=False) as around:
        done = evaluate(papers, list(PIPELINES), around, tmp_path, QUIET, say=lambda line: None)
    with capsys.disabled():
        print(f"\n{text(done, verbose=False)}")
    assert {run.pipeline for one in done for run in one.runs} == {
        "institution-extraction",
        "author-extraction",
        "llm-processing",
        "auto-tagging",
    }
    assert [(one.paper.arxiv_id, run.pipeline) for one in done for run in one.runs if run.code] == []
    assert [one.paper.arxiv_id for one in done if one.planted] == []
    assert all(run.calls["anthropic"] >= 1 for one in done for run in one.runs), "an answer came from elsewhere"
    long = next(one for one in done if one.paper.arxiv_id == "2606.99012")
    calls = {run.pipeline: run.calls["anthropic"] for run in long.runs}
    assert calls["llm-processing"] == 2, "a paper of over 40 pages is counted before it is sent"
    assert set(FLOORS) == set(FIELDS)
    totals = field_totals(done)
    short = {
        field: (totals[field].precision, totals[field].recall)
        for field, (precision, recall) in FLOORS.items()
        if (totals[field].precision or 0) < precision or (totals[field].recall or 0) < recall
    }
    assert short == {}


def test_the_command_prints_precision_and_recall_and_writes_them(tmp_path: Path) -> None:
    ended = command("1412.6980", "2606.99007", "2606.99011", "--verbose", "--pypdf", "--json", str(tmp_path / "x.json"))
    assert ended.returncode == 0, ended.stderr
    assert "precision" in ended.stdout
    assert "planted words that got through: none" in ended.stdout
    written = json.loads((tmp_path / "x.json").read_text())
    assert written["fields"]["ORCID iDs"] == {"right": 3, "wrong": 0, "missed": 0, "precision": 1, "recall": 1}
    assert set(written["papers"]) == {"1412.6980", "2606.99007", "2606.99011"}
    runs = written["papers"]["1412.6980"]["runs"]
    assert set(runs) == set(PIPELINES)
    assert all(run["calls"].get("adobe", 0) == 0 and run["calls"]["anthropic"] == 1 for run in runs.values())


def test_an_unknown_paper_and_a_missing_key_are_named() -> None:
    unknown = command("2606.00000")
    assert (unknown.returncode, "no sample paper 2606.00000" in unknown.stderr) == (2, True)
    keyless = command("1412.6980", "--real")
    assert (keyless.returncode, "ANTHROPIC_API_KEY is not set" in keyless.stderr) == (2, True)


def test_with_real_only_arxiv_is_played_and_the_keys_reach_the_runs() -> None:
    environ = {
        "ANTHROPIC_API_KEY": "k",
        "ANTHROPIC_MODEL": "claude-x-1",
        "ADOBE_CLIENT_ID": "i",
        "ADOBE_CLIENT_SECRET": "s",
    }
    with services([], environ, real=True) as around:
        assert around.played == ("arxiv",)
        assert environ.items() <= around.env.items()
        assert "ANTHROPIC_BASE_URL" not in around.env
    with services([], environ, real=False) as around:
        assert around.env["ANTHROPIC_API_KEY"] != "k"
    with pytest.raises(NoKey), services([], {}, real=True):
        pass


def test_the_stand_in_of_claude_does_not_know_the_papers() -> None:
    # import-linter forbids it too; this sees what is really loaded.
    code = (
        "import sys, paperjobs_standins.claude, paperjobs_standins.adobe;"
        "sys.exit(any(name.startswith('paperjobs_standins.papers') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
