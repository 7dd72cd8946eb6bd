"""Whole runs of author-extraction: a process, the stand-ins, a database; alone, and beside institution-extraction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from paperjobs_runner.database_url import normalise_database_url
from paperjobs_runner.store.migrate import upgrade
from paperjobs_runner.store.read import PaperResult, read_results
from paperjobs_standins.claude import reply
from paperjobs_standins.server import Standins
from support.postgres import postgres_database
from support.runner_process import end_of, environment, of_pipeline, result_of, run, start

PIPELINES = ("author-extraction", "institution-extraction")


@pytest.fixture
def base(standins: Standins, new_database: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a run, of no pipeline yet."""
    return environment(standins, new_database, tmp_path)


@pytest.fixture
def env(base: dict[str, str]) -> dict[str, str]:
    """The environment of a run of this pipeline."""
    return of_pipeline(base, "author-extraction")


def with_own_log(env: dict[str, str]) -> dict[str, str]:
    """Two runs at once must not write one termination message."""
    return env | {"PAPERJOBS_TERMINATION_LOG": f"{env['PAPERJOBS_TERMINATION_LOG']}-{env['PAPERJOBS_RUN']}"}


def stored(url: str) -> PaperResult:
    (paper,) = read_results(url)
    return paper


def found(url: str) -> PaperResult:
    """What is stored, without when."""
    return replace(stored(url), times={})


def in_order(env: Mapping[str, str], pipelines: Sequence[str]) -> None:
    for claim, pipeline in enumerate(pipelines, start=1):
        result_of(run(of_pipeline(env, pipeline, claim)))


def test_authors_end_with_names_in_parts_addresses_and_affiliations(env: dict[str, str]) -> None:
    result = result_of(run(env))
    paper = stored(env["DATABASE_URL"])
    by_name = {author.name: author for author in paper.authors}
    vaswani = by_name["Ashish Vaswani"]
    assert (vaswani.given, vaswani.family, vaswani.is_collaboration) == ("Ashish", "Vaswani", False)
    assert vaswani.emails == ("vaswani@brain.example",)
    assert "University of Toronto" in by_name["Aidan N. Gomez"].institutions
    assert by_name["Aidan N. Gomez"].given == "Aidan N."
    assert (result["authorCount"], result["emailCount"], result["dropped"]) == (8, 8, 0)


def test_a_refusal_leaves_the_names_in_arxivs_list_in_parts(env: dict[str, str], standins: Standins) -> None:
    standins.anthropic.fault("reply", body=reply(stop_reason="refusal", category="bio"))
    assert result_of(run(env))["outcome"] == "refused"
    paper = stored(env["DATABASE_URL"])
    assert paper.outcomes == {"author-extraction": "refused"}
    assert [author.family for author in paper.authors][:2] == ["Vaswani", "Shazeer"]
    assert {author.emails for author in paper.authors} == {()}


def test_what_an_earlier_run_found_outlives_a_refusal(env: dict[str, str], standins: Standins) -> None:
    result_of(run(env))
    before = found(env["DATABASE_URL"]).authors
    standins.anthropic.fault("reply", body=reply(stop_reason="refusal"))
    result_of(run(of_pipeline(env, "author-extraction", 2)))
    assert found(env["DATABASE_URL"]).authors == before


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_both_pipelines_end_in_the_same_whichever_comes_first_however_often_and_both_at_once(
    base: dict[str, str], database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with ExitStack() as stack:

        def fresh(name: str) -> dict[str, str]:
            if database == "postgresql":
                url = stack.enter_context(postgres_database(request.getfixturevalue("postgres_server_url")))
            else:
                url = f"sqlite:///{tmp_path}/{name}.db"
            upgrade(normalise_database_url(url))
            return {**base, "DATABASE_URL": url}

        _same_in_every_order(*(fresh(name) for name in ("one", "other", "often", "together")))


def _same_in_every_order(
    one: dict[str, str], other: dict[str, str], often: dict[str, str], together: dict[str, str]
) -> None:
    in_order(one, PIPELINES)
    in_order(other, PIPELINES[::-1])
    in_order(often, (*PIPELINES, *PIPELINES[::-1]))
    environments = [with_own_log(of_pipeline(together, pipeline)) for pipeline in PIPELINES]
    with ThreadPoolExecutor() as pool:
        processes = [start(environment) for environment in environments]
        for ended in pool.map(end_of, environments, processes):
            result_of(ended)
    expected = found(one["DATABASE_URL"])
    assert expected.institutions == ("Google Brain", "Google Research", "University of Toronto")
    assert expected.authors[0].emails == ("vaswani@brain.example",)
    for env in (other, often, together):
        assert found(env["DATABASE_URL"]) == expected


def test_a_newer_version_by_one_pipeline_is_not_overwritten_by_the_other_about_an_older_one(
    base: dict[str, str],
) -> None:
    result_of(run(of_pipeline(base, "author-extraction")))
    before = found(base["DATABASE_URL"])
    older = {"paperId": "p-1", "arxivUrl": "https://arxiv.org/abs/1706.03762v1"}
    env = of_pipeline(base, "institution-extraction") | {"PAPERJOBS_PAYLOAD": json.dumps(older)}
    assert result_of(run(env))["keptVersion"] == 7
    assert found(base["DATABASE_URL"]) == before
