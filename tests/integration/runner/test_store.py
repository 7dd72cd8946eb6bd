"""The database, on PostgreSQL and on SQLite: migrations, the fence, and writing that can be repeated."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, text
from sqlalchemy.schema import BLANK_SCHEMA

from paperjobs_runner.arxiv_id import ArxivId
from paperjobs_runner.contract import Assignment
from paperjobs_runner.database_url import normalise_database_url
from paperjobs_runner.errors import DatabaseUnavailable, Superseded
from paperjobs_runner.store.fence import begin_run
from paperjobs_runner.store.findings import Findings, FoundAuthor, FoundInstitution, PaperFacts, Provenance
from paperjobs_runner.store.institutions import write_findings
from paperjobs_runner.store.migrate import configuration, upgrade, version_schema
from paperjobs_runner.store.models import Base
from paperjobs_runner.store.read import read_results
from paperjobs_runner.store.revision import REVISION, check
from paperjobs_runner.store.session import open_engine, transaction
from paperjobs_runner.store.write import write_result

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
ASSIGNMENT = Assignment(
    queue="institution-extraction",
    prefix="bull",
    pipeline="institution-extraction",
    job_id="1",
    job_name="",
    run="run-1",
    claim=1,
    attempt=1,
    payload=None,
    timeout_seconds=600,
)
PAPER = PaperFacts(
    paper_id="p-1",
    arxiv_id=ArxivId(base="2301.12345", version=2),
    title="A Study of Things",
    abstract="We study things.",
    primary_category="cs.LG",
    doi=None,
    published_at=NOW,
    updated_at=NOW,
)
PROVENANCE = Provenance(extractor="pypdf", model="m", prompt_version="1", input_tokens=10, output_tokens=5)


def institution(name: str, country: str | None = None) -> FoundInstitution:
    return FoundInstitution(
        key=name.lower(), name=name, department=None, country=country, evidence=f"{name}, somewhere"
    )


FINDINGS = Findings(
    institutions=(institution("ETH Zürich", "Switzerland"), institution("CERN")),
    authors=(
        FoundAuthor(name="Ana Šimić", institution_keys=("cern", "eth zürich")),
        FoundAuthor(name="Bo Li", institution_keys=()),
    ),
)


@pytest.fixture(params=["postgresql", "sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL, as DATABASE_URL would have it, of an empty database."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/data/papers.db"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A database with all tables."""
    url = normalise_database_url(database_url)
    upgrade(url)
    engine = open_engine(url)
    yield engine
    engine.dispose()


def write(
    engine: Engine,
    *,
    assignment: Assignment = ASSIGNMENT,
    paper: PaperFacts = PAPER,
    findings: Findings = FINDINGS,
    now: datetime = NOW,
    confirmed_at: datetime | None = None,
    between: Callable[[], object] = lambda: None,
) -> int | None:
    """One whole run's use of the database; `between` happens while the run works."""
    with transaction(engine) as connection:
        generation = begin_run(connection, assignment, now, confirmed_at=confirmed_at)
    between()
    with transaction(engine) as connection:
        return write_result(
            connection,
            assignment=assignment,
            generation=generation,
            paper=paper,
            provenance=PROVENANCE,
            store=lambda connection, pk: write_findings(connection, pk, assignment.pipeline, findings),
            now=now,
        )


def picture(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, as text."""
    with transaction(engine) as connection:
        schema = "paperjobs." if connection.dialect.name == "postgresql" else ""
        return {
            table.name: sorted(
                (tuple(row) for row in connection.execute(text(f"SELECT * FROM {schema}{table.name}"))), key=str
            )
            for table in Base.metadata.sorted_tables
        }


# migrations


def test_an_empty_database_is_refused_with_the_remedy(database_url: str) -> None:
    with pytest.raises(
        DatabaseUnavailable, match="has no tables yet, 0002 is needed; run `paperjobs-runner db upgrade`"
    ):
        check(normalise_database_url(database_url))


def test_upgrading_twice_is_the_same_as_once(database_url: str) -> None:
    url = normalise_database_url(database_url)
    assert upgrade(url) == upgrade(url) == check(url) == REVISION


def test_the_newest_migration_is_the_one_that_runs_ask_for() -> None:
    assert ScriptDirectory.from_config(configuration()).get_current_head() == REVISION


def test_several_upgrades_at_once_wait_for_each_other(database_url: str) -> None:
    url = normalise_database_url(database_url)
    ended: list[object] = []

    def work() -> None:
        try:
            ended.append(upgrade(url))
        except BaseException as error:
            ended.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == [REVISION] * 4


def test_the_migrations_make_exactly_the_tables_of_the_models(engine: Engine) -> None:
    with transaction(engine) as connection:
        assert compare_metadata(_comparison(connection), _models_for(connection)) == []


def _comparison(connection: Connection) -> MigrationContext:
    schema = version_schema(connection)
    plain = connection.execution_options(schema_translate_map=None)
    return MigrationContext.configure(
        plain,
        opts={
            "version_table_schema": schema,
            "include_schemas": schema is not None,
            "include_name": lambda name, kind, _parents: kind != "schema" or name == schema,
            "compare_type": True,
        },
    )


def _models_for(connection: Connection) -> MetaData:
    if version_schema(connection) is not None:
        return Base.metadata
    none: Any = None
    blank: Any = BLANK_SCHEMA
    without_schema = MetaData(naming_convention=Base.metadata.naming_convention)
    for table in Base.metadata.sorted_tables:
        table.to_metadata(without_schema, schema=none, referred_schema_fn=lambda *_: blank)
    return without_schema


def test_a_database_that_is_not_there_is_a_passing_fault_without_the_password() -> None:
    with pytest.raises(DatabaseUnavailable) as refusal:
        check("postgresql+psycopg://user:top-secret@127.0.0.1:1/db")
    assert "top-secret" not in refusal.value.message


# writing


def test_what_was_written_is_read_back(engine: Engine, database_url: str) -> None:
    assert write(engine) is None
    (result,) = read_results(database_url)
    assert (result.paper_id, result.arxiv_id, result.title) == ("p-1", "2301.12345v2", "A Study of Things")
    assert result.institutions == ("ETH Zürich", "CERN")
    assert [(author.name, author.institutions) for author in result.authors] == [
        ("Ana Šimić", ("CERN", "ETH Zürich")),
        ("Bo Li", ()),
    ]
    assert result.written_at == NOW


def test_a_second_run_of_the_same_job_changes_nothing_but_its_registration_and_a_timestamp(engine: Engine) -> None:
    write(engine)
    before = picture(engine)
    write(engine, now=NOW + timedelta(minutes=1))
    after = picture(engine)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"results", "runs"}
    (old,), (new,) = before["results"], after["results"]
    assert sum(a != b for a, b in zip(old, new, strict=True)) == 1


def test_other_findings_replace_the_earlier_ones_whole(engine: Engine, database_url: str) -> None:
    write(engine)
    write(
        engine,
        findings=Findings(
            institutions=(institution("CERN"),), authors=(FoundAuthor(name="Bo Li", institution_keys=("cern",)),)
        ),
    )
    (result,) = read_results(database_url)
    assert result.institutions == ("CERN",)
    assert [(author.name, author.institutions) for author in result.authors] == [("Bo Li", ("CERN",))]


def test_institutions_are_shared_and_a_country_is_added_where_none_was_known(engine: Engine) -> None:
    write(engine)
    other = replace(PAPER, paper_id="p-2", arxiv_id=ArxivId(base="2301.12346", version=1))
    findings = replace(
        FINDINGS, institutions=(institution("CERN", "Switzerland"), institution("ETH Zürich", "Elsewhere"))
    )
    write(engine, assignment=replace(ASSIGNMENT, job_id="2"), paper=other, findings=findings)
    countries = {row[1]: row[3] for row in picture(engine)["institutions"]}
    assert countries == {"cern": "Switzerland", "eth zürich": "Switzerland"}


def test_an_older_version_never_replaces_a_newer_one(engine: Engine, database_url: str) -> None:
    write(engine)
    older = replace(PAPER, arxiv_id=ArxivId(base="2301.12345", version=1), title="Draft")
    assert write(engine, assignment=replace(ASSIGNMENT, job_id="2"), paper=older) == 2
    (result,) = read_results(database_url)
    assert (result.arxiv_id, result.title) == ("2301.12345v2", "A Study of Things")


def test_a_paper_id_that_was_pointed_at_another_paper_follows(engine: Engine, database_url: str) -> None:
    write(engine)
    write(engine, paper=replace(PAPER, arxiv_id=ArxivId(base="2001.00001", version=1), title="Another"))
    (result,) = read_results(database_url)
    assert (result.arxiv_id, result.title) == ("2001.00001v1", "Another")


def test_runs_of_different_papers_with_the_same_institutions_do_not_block_each_other(engine: Engine) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        names = ["A", "B", "C", "D"] if number % 2 else ["D", "C", "B", "A"]
        findings = Findings(institutions=tuple(institution(f"Uni {name}") for name in names), authors=())
        paper = replace(PAPER, paper_id=f"p-{number}", arxiv_id=ArxivId(base=f"2301.1000{number}", version=1))
        own = open_engine(engine.url.render_as_string(hide_password=False))
        try:
            write(own, assignment=replace(ASSIGNMENT, job_id=str(number)), paper=paper, findings=findings)
        except BaseException as error:
            errors.append(error)
        finally:
            own.dispose()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(picture(engine)["institutions"]) == 4
    assert len(picture(engine)["paper_institutions"]) == 24


# the fence


def test_a_run_that_was_overtaken_writes_nothing(engine: Engine, database_url: str) -> None:
    newer = replace(ASSIGNMENT, run="run-2", claim=2, attempt=2)
    with pytest.raises(Superseded):
        write(engine, paper=replace(PAPER, title="Stale"), between=lambda: write(engine, assignment=newer))
    (result,) = read_results(database_url)
    assert result.title == "A Study of Things"


def test_an_older_claim_does_not_begin_while_a_newer_one_works(engine: Engine) -> None:
    newer = replace(ASSIGNMENT, run="run-2", claim=2, attempt=2)

    def begin_the_older() -> None:
        with pytest.raises(Superseded), transaction(engine) as connection:
            begin_run(connection, ASSIGNMENT, NOW)

    assert write(engine, assignment=newer, between=begin_the_older) is None


def test_a_job_added_again_under_its_old_id_counts_its_claims_from_one(engine: Engine) -> None:
    write(engine, assignment=replace(ASSIGNMENT, claim=3))
    assert write(engine, assignment=ASSIGNMENT) is None


@pytest.mark.parametrize("worked", [timedelta(0), timedelta(minutes=9)])
def test_a_job_added_again_begins_at_once_although_a_run_of_its_earlier_life_never_ended(
    engine: Engine, worked: timedelta
) -> None:
    with transaction(engine) as connection:
        begin_run(connection, replace(ASSIGNMENT, run="run-of-earlier-life", claim=3), NOW - worked)
    now = NOW + timedelta(seconds=2)
    assert write(engine, now=now, confirmed_at=now - timedelta(seconds=1)) is None


def test_a_run_of_an_earlier_life_writes_nothing_once_the_job_added_again_has_begun(engine: Engine) -> None:
    def begin_the_job_added_again() -> None:
        with transaction(engine) as connection:
            begin_run(connection, ASSIGNMENT, NOW + timedelta(minutes=1), confirmed_at=NOW + timedelta(seconds=59))

    with pytest.raises(Superseded):
        write(engine, assignment=replace(ASSIGNMENT, claim=3), between=begin_the_job_added_again)


def test_a_claim_that_ended_after_redis_confirmed_it_does_not_take_the_newer_ones_place(engine: Engine) -> None:
    write(engine, assignment=replace(ASSIGNMENT, run="run-2", claim=2))
    with pytest.raises(Superseded):
        write(engine, now=NOW + timedelta(seconds=5), confirmed_at=NOW - timedelta(seconds=1))


def test_a_newer_claim_that_died_does_not_block_for_ever(engine: Engine) -> None:
    with transaction(engine) as connection:
        begin_run(connection, replace(ASSIGNMENT, claim=3), NOW)
    assert write(engine, now=NOW + timedelta(seconds=601)) is None


def test_two_jobs_for_one_paper_both_succeed(engine: Engine) -> None:
    other = replace(ASSIGNMENT, job_id="2")
    assert write(engine, between=lambda: write(engine, assignment=other)) is None
