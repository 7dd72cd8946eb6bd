"""Whole runs of llm-processing with Asana set up: the paper's job never depends on it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from paperjobs_runner.store.read import read_results
from paperjobs_standins.claude import reply
from paperjobs_standins.server import Standins
from support.runner_process import environment, of_pipeline, result_of, run

PAYLOAD = {"paperId": "p-2", "arxivUrl": "https://arxiv.org/abs/1706.03762v6"}


@pytest.fixture(scope="module")
def everything() -> Iterator[Standins]:
    with Standins() as standins:
        yield standins


@pytest.fixture
def standins(everything: Standins) -> Standins:
    everything.clear()
    everything.asana.service.tasks.clear()
    return everything


@pytest.fixture
def env(standins: Standins, new_database: Path, tmp_path: Path) -> dict[str, str]:
    return of_pipeline(environment(standins, new_database, tmp_path), "llm-processing")


def told_by(env: Mapping[str, str]) -> Mapping[str, Any]:
    ended = run(env)
    for line in ended.output.splitlines():
        json.loads(line)  # the SDK's own log handlers would write other lines
    return result_of(ended)


def methods(standins: Standins) -> list[str]:
    return [request.method for request in standins.asana.requests]


def test_the_papers_task_gets_the_structured_abstract_and_a_second_run_only_looks(
    env: dict[str, str], standins: Standins
) -> None:
    told = told_by(env)["asana"]
    (abstract,) = [paper.abstract for paper in read_results(env["DATABASE_URL"])]
    (task,) = standins.asana.service.tasks.values()
    assert told == {"state": "synced", "gid": task["gid"]}
    assert task["name"] == "Attention Is All You Need"
    assert abstract is not None
    assert abstract.summary in task["notes"]
    assert all(f"- {point}" in task["notes"] for point in abstract.key_points)
    assert f"\n\nMethods\n{abstract.methods}" in task["notes"]
    assert methods(standins) == ["GET", "POST"]
    standins.clear()
    assert told_by(env | {"PAPERJOBS_CLAIM": "2"})["asana"] == told
    assert methods(standins) == ["GET"]


def test_two_posts_of_one_paper_share_its_task(env: dict[str, str], standins: Standins) -> None:
    first = told_by(env)["asana"]
    other = {"PAPERJOBS_JOB_ID": "8", "PAPERJOBS_PAYLOAD": json.dumps(PAYLOAD)}
    assert told_by(env | other)["asana"] == first
    assert len(standins.asana.service.tasks) == 1


def test_an_asana_that_is_down_is_told_in_the_result_and_mended_by_the_next_run(
    env: dict[str, str], standins: Standins
) -> None:
    standins.asana.fault("status", status=500, times=None)
    told = told_by(env)
    assert told["asana"] == {"state": "pending", "error": "Asana failed with status 500"}
    assert told["keyPointCount"] > 0
    standins.clear()
    assert told_by(env | {"PAPERJOBS_CLAIM": "2"})["asana"]["state"] == "synced"


def test_a_paper_that_claude_refuses_has_its_task_all_the_same(env: dict[str, str], standins: Standins) -> None:
    standins.anthropic.fault("reply", body=reply(stop_reason="refusal"))
    result = told_by(env)
    assert (result["outcome"], result["asana"]["state"]) == ("refused", "synced")
    (task,) = standins.asana.service.tasks.values()
    assert "Abstract on arXiv" in task["notes"]
    assert "Summary" not in task["notes"]
