"""Whole runs of auto-tagging: a process, the stand-ins, a database; what is stored, and how each end looks."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from paperjobs_runner.contract import ExitCode
from paperjobs_runner.database_url import normalise_database_url
from paperjobs_runner.store.migrate import upgrade
from paperjobs_runner.store.read import PaperResult, read_results
from paperjobs_standins.claude import reply
from paperjobs_standins.server import Standins
from support.runner_process import COMMAND, environment, of_pipeline, result_of, run


@pytest.fixture
def env(standins: Standins, new_database: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a run of this pipeline."""
    return of_pipeline(environment(standins, new_database, tmp_path), "auto-tagging")


def stored(env: Mapping[str, str]) -> PaperResult:
    (paper,) = read_results(env["DATABASE_URL"])
    return paper


def tags_reply(*tags: tuple[str, float]) -> str:
    return reply(json.dumps({"tags": [{"tag": tag, "confidence": confidence} for tag, confidence in tags]}))


def command(env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, "tags", *arguments], env=dict(env), capture_output=True, text=True, check=False)


def test_a_paper_ends_with_its_categories_and_tags_of_the_vocabulary(env: dict[str, str], standins: Standins) -> None:
    result = result_of(run(env))
    paper = stored(env)
    assert paper.categories[0] == "cs.CL"
    assert "cs.LG" in paper.categories
    assert {"attention-mechanisms", "transformers", "machine-translation"} & {tag.slug for tag in paper.tags}
    assert [tag.slug for tag in paper.tags] == result["tags"]
    assert all(0.3 <= tag.confidence <= 1 for tag in paper.tags)
    assert (result["categories"], result["dropped"]) == (list(paper.categories), 0)
    # Nothing is fetched for tags alone.
    assert [request.target.partition("?")[0] for request in standins.arxiv.requests] == ["/api/query"]
    assert standins.adobe.requests == ()
    assert len(standins.anthropic.requests) == 1


def test_postgresql_does_as_well_and_a_second_run_changes_only_the_time(env: dict[str, str], postgres_url: str) -> None:
    env["DATABASE_URL"] = postgres_url
    upgrade(normalise_database_url(postgres_url))
    result_of(run(env))
    (first,) = read_results(postgres_url)
    result_of(run(of_pipeline(env, "auto-tagging", 2)))
    (second,) = read_results(postgres_url)
    assert first.tags == second.tags != ()
    assert first.categories == second.categories
    assert first.times["auto-tagging"] < second.times["auto-tagging"]


def test_a_tag_outside_the_vocabulary_is_sent_back_with_the_reason_and_corrected(
    env: dict[str, str], standins: Standins
) -> None:
    standins.anthropic.fault("reply", body=tags_reply(("transformers", 0.9), ("astrology", 0.8)))
    result = result_of(run(env))
    assert len(standins.anthropic.requests) == 2
    assert result["dropped"] == 0
    assert "astrology" not in result["tags"]


def test_after_a_second_wrong_answer_its_right_part_is_kept_and_the_rest_counted(
    env: dict[str, str], standins: Standins
) -> None:
    standins.anthropic.fault("reply", body=tags_reply(("transformers", 0.9), ("astrology", 0.8)), times=2)
    result = result_of(run(env))
    assert (result["tags"], result["dropped"]) == (["transformers"], 1)
    assert [tag.slug for tag in stored(env).tags] == ["transformers"]


def test_a_refusal_leaves_the_categories_and_the_tags_of_an_earlier_run(
    env: dict[str, str], standins: Standins
) -> None:
    result_of(run(env))
    before = stored(env).tags
    standins.anthropic.fault("reply", body=reply(stop_reason="refusal", category="bio"))
    result = result_of(run(of_pipeline(env, "auto-tagging", 2)))
    assert result["outcome"] == "refused"
    assert "bio" in result["detail"]
    paper = stored(env)
    assert (paper.outcomes["auto-tagging"], paper.tags) == ("refused", before)
    assert paper.categories[0] == "cs.CL"


def test_the_settings_limit_how_many_and_how_sure(env: dict[str, str]) -> None:
    result = result_of(run(env | {"PAPERJOBS_MAX_TAGS": "1", "PAPERJOBS_MIN_CONFIDENCE": "0.5"}))
    assert len(result["tags"]) == 1


def test_wrong_settings_are_reported_together(env: dict[str, str]) -> None:
    ended = run(env | {"PAPERJOBS_MAX_TAGS": "0", "PAPERJOBS_MIN_CONFIDENCE": "high"})
    assert ended.report is not None
    assert "PAPERJOBS_MAX_TAGS: expected a number from 1 to 50, got '0'" in (ended.report.message or "")
    assert "PAPERJOBS_MIN_CONFIDENCE: expected a number from 0 to 1, got 'high'" in (ended.report.message or "")


# the vocabulary


def test_an_exported_vocabulary_is_imported_without_a_change(env: dict[str, str], tmp_path: Path) -> None:
    exported = command(env, "export")
    assert exported.returncode == 0, exported.stderr
    file = tmp_path / "vocabulary.csv"
    file.write_text(exported.stdout, encoding="utf-8")
    assert command(env, "import", str(file)).stdout == "0 tags added, 0 changed, 0 made inactive\n"


def test_a_vocabulary_of_ones_own_is_what_claude_may_choose_from(env: dict[str, str], tmp_path: Path) -> None:
    result_of(run(env))
    old = stored(env).tags
    file = tmp_path / "vocabulary.csv"
    file.write_text(
        "slug,name,description\nsequence-models,Sequence models,Models that turn one sequence into another.\n",
        encoding="utf-8",
    )
    assert "1 tags added, 0 changed" in command(env, "import", str(file)).stdout
    assert command(env, "list").stdout.split()[0] == "sequence-models"
    # What a paper has stays until it is tagged anew.
    assert stored(env).tags == old
    assert result_of(run(of_pipeline(env, "auto-tagging", 2)))["tags"] == ["sequence-models"]


def test_a_wrong_vocabulary_changes_nothing_and_says_every_wrong_line(env: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "vocabulary.csv"
    file.write_text("slug,name,description\nBad,Bad,Bad.\nworse one,,\n", encoding="utf-8")
    before = command(env, "export").stdout
    refused = command(env, "import", str(file))
    assert refused.returncode == ExitCode.NEVER_AGAIN
    assert "line 2: slug" in refused.stderr
    assert "line 3: name" in refused.stderr
    assert command(env, "export").stdout == before


def test_without_a_vocabulary_the_categories_are_stored_and_claude_is_not_asked(
    env: dict[str, str], standins: Standins
) -> None:
    with sqlite3.connect(env["DATABASE_URL"].removeprefix("sqlite:///")) as connection:
        connection.execute("update tags set active = 0")
    connection.close()
    ended = run(env)
    assert result_of(ended)["tags"] == []
    assert "the vocabulary is empty" in ended.output
    assert standins.anthropic.requests == ()
    assert stored(env).categories[0] == "cs.CL"
