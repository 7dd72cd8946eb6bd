"""One Asana task for each paper, on PostgreSQL and on SQLite: made once, found again, told only what is new."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from paperjobs_runner.asana_sync import sync as module
from paperjobs_runner.asana_sync.schedule import NO_TIME
from paperjobs_runner.asana_sync.sync import BUSY, Synchroniser
from paperjobs_runner.database_url import normalise_database_url
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.interrupt import Interrupted, OutOfTime
from paperjobs_runner.services.asana import Asana
from paperjobs_runner.settings_asana import AsanaSettings
from paperjobs_runner.store import asana_tasks
from paperjobs_runner.store.migrate import upgrade
from paperjobs_runner.store.session import open_engine, transaction
from paperjobs_standins.server import Standins
from support.asana_tasks import add_paper, add_task, paper_task, row
from support.runner_process import COMMAND

PAPER = "2301.12345"
START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture(params=["postgresql", "sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    url = str(request.getfixturevalue("postgres_url")) if request.param == "postgresql" else ""
    url = normalise_database_url(url or f"sqlite:///{tmp_path}/papers.db")
    upgrade(url)
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


class Clock:
    """The time of day, which a test moves."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def asana(settings: AsanaSettings) -> Iterator[Asana]:
    with closing(Asana(settings, Deadline(at=time.monotonic() + 60, sleep=lambda _: None))) as asana:
        yield asana


@pytest.fixture
def synchroniser(engine: Engine, settings: AsanaSettings, asana: Asana, clock: Clock) -> Synchroniser:
    return Synchroniser(engine=engine, settings=settings, asana=asana, deadline=Deadline.after(60), now=clock)


def calls(standins: Standins) -> list[str]:
    made = [request.method for request in standins.asana.requests]
    standins.clear()
    return made


def test_a_papers_task_is_made_with_everything_that_is_known(
    engine: Engine, synchroniser: Synchroniser, standins: Standins
) -> None:
    add_paper(engine, summary="It is studied.", key_points=["One."], methods="M", results="R", limitations="L")
    outcome = synchroniser.sync(PAPER)
    (task,) = standins.asana.service.tasks.values()
    assert (outcome.error, outcome.gid) == (None, task["gid"])
    assert task["name"] == "On 2301.12345"
    assert {field["name"]: field["text_value"] for field in task["custom_fields"]} == {
        "Paper link": "https://arxiv.org/abs/2301.12345",
        "arXiv ID": "2301.12345",
        "Abstract": "It is studied.",
    }
    assert "Key points\n- One.\n\nMethods\nM\n\nResults\nR\n\nLimitations\nL" in task["notes"]
    known = row(engine)
    assert (known.state, known.gid, known.error, known.lease_by, known.lease_until) == (
        "synced",
        task["gid"],
        None,
        None,
        None,
    )
    assert calls(standins) == ["GET", "POST"]


def test_the_same_again_asks_only_whether_the_task_is_still_there(
    engine: Engine, synchroniser: Synchroniser, standins: Standins
) -> None:
    add_paper(engine)
    first = synchroniser.sync(PAPER)
    calls(standins)
    standins.asana.service.tasks[first.gid or ""]["notes"] = "a person's own words"
    assert synchroniser.sync(PAPER) == first
    assert calls(standins) == ["GET"]
    assert standins.asana.service.tasks[first.gid or ""]["notes"] == "a person's own words"


def test_a_newer_abstract_changes_the_task(engine: Engine, synchroniser: Synchroniser, standins: Standins) -> None:
    add_paper(engine)
    synchroniser.sync(PAPER)
    calls(standins)
    add_paper(engine, version=2, summary="It is known.")
    synchroniser.sync(PAPER)
    assert calls(standins) == ["GET", "PUT"]
    (task,) = standins.asana.service.tasks.values()
    assert "Version: 2" in task["notes"]
    assert "It is known." in task["notes"]


@pytest.mark.parametrize("fields", [True, False])
def test_a_task_that_the_database_does_not_know_is_found_on_whatever_page(
    engine: Engine, settings: AsanaSettings, standins: Standins, *, fields: bool
) -> None:
    for number in range(10000, 10150):
        add_task(standins, **paper_task(f"2401.{number}"))
    wanted = paper_task(f"{PAPER}v1") if fields else {"name": "x", "notes": f"arXiv: {PAPER}"}
    theirs = add_task(standins, **wanted)
    add_paper(engine)
    if not fields:
        settings = replace(settings, link_field=None, arxiv_id_field=None, abstract_field=None)
    with closing(Asana(settings, Deadline.after(60))) as asana:
        outcome = Synchroniser(engine=engine, settings=settings, asana=asana, deadline=Deadline.after(60)).sync(PAPER)
    assert (outcome.gid, outcome.error) == (theirs, None)
    assert calls(standins) == ["GET", "GET", "PUT"]
    assert standins.asana.service.tasks[theirs]["name"] == "On 2301.12345"
    assert row(engine).gid == theirs


@pytest.mark.parametrize("copy", [True, False])
def test_a_deleted_task_is_looked_for_and_else_made_again(
    engine: Engine, synchroniser: Synchroniser, standins: Standins, *, copy: bool
) -> None:
    add_paper(engine)
    first = synchroniser.sync(PAPER)
    standins.asana.service.tasks.clear()
    theirs = add_task(standins, **paper_task(PAPER)) if copy else None
    for task in standins.asana.service.tasks.values():  # known of old, and as another task than ours
        task["modified_at"] = (START - timedelta(hours=1)).isoformat()
    calls(standins)
    again = synchroniser.sync(PAPER)
    assert again.gid != first.gid
    assert list(standins.asana.service.tasks) == [again.gid]
    assert theirs in (None, again.gid)
    assert calls(standins) == ["GET", "GET", "PUT" if copy else "POST"]


def test_a_task_deleted_between_question_and_change_is_made_again(
    engine: Engine, synchroniser: Synchroniser, standins: Standins
) -> None:
    add_paper(engine)
    synchroniser.sync(PAPER)
    add_paper(engine, version=2)
    standins.asana.fault("status", status=404, method="PUT")
    standins.asana.service.tasks[row(engine).gid]["custom_fields"] = []  # so that it is not found either
    standins.asana.service.tasks[row(engine).gid]["notes"] = ""
    assert synchroniser.sync(PAPER).error is None
    assert [task["name"] for task in standins.asana.service.tasks.values()] == ["On 2301.12345"] * 2


def test_a_create_whose_answer_was_lost_makes_no_second_task(
    engine: Engine, synchroniser: Synchroniser, standins: Standins
) -> None:
    add_paper(engine)
    standins.asana.fault("lost", method="POST")
    outcome = synchroniser.sync(PAPER)
    assert (outcome.error, list(standins.asana.service.tasks)) == (None, [outcome.gid])
    assert calls(standins) == ["GET", "POST", "GET"]


def test_the_project_is_looked_through_once_and_then_only_what_was_changed(
    engine: Engine, synchroniser: Synchroniser, standins: Standins, clock: Clock
) -> None:
    for number in range(10000, 10250):
        add_task(standins, **paper_task(f"2401.{number}"))
    for one in standins.asana.service.tasks.values():
        one["modified_at"] = (START - timedelta(hours=1)).isoformat()
    for arxiv_id in (PAPER, "2302.00002", "2401.10200"):
        add_paper(engine, arxiv_id)
    synchroniser.sync(PAPER)
    assert calls(standins) == ["GET", "GET", "GET", "POST"]
    synchroniser.sync("2302.00002")
    assert calls(standins) == ["GET", "POST"]
    synchroniser.sync("2401.10200")  # somebody else made it, before anything of ours
    assert calls(standins) == ["GET", "PUT"]
    clock.time += timedelta(days=1, seconds=1)
    add_paper(engine, "2303.00003")
    synchroniser.sync("2303.00003")
    assert calls(standins) == ["GET", "GET", "GET", "POST"]
    assert len(standins.asana.service.tasks) == 253
    assert synchroniser.due(None, every=True) == []


def test_a_task_that_somebody_makes_later_is_found_by_its_change(
    engine: Engine, synchroniser: Synchroniser, standins: Standins
) -> None:
    add_paper(engine)
    add_paper(engine, "2302.00002")
    synchroniser.sync(PAPER)
    theirs = add_task(standins, **paper_task("2302.00002v1"))
    assert synchroniser.sync("2302.00002").gid == theirs


def test_after_an_outage_the_project_is_looked_through_once_for_all(
    engine: Engine, synchroniser: Synchroniser, standins: Standins, clock: Clock
) -> None:
    for number in range(10000, 10100):
        add_task(standins, **paper_task(f"2401.{number}"))
    for one in standins.asana.service.tasks.values():
        one["modified_at"] = (START - timedelta(hours=1)).isoformat()
    papers = [PAPER, "2302.00002", "2303.00003"]
    for paper in papers:
        add_paper(engine, paper)
    synchroniser.sync(PAPER)
    # The tasks are made, but no answer comes, and whoever looks for them is refused.
    standins.asana.fault("lost", method="POST", times=None)
    standins.asana.fault("status", status=500, path="/projects/", times=None)
    for paper in papers[1:]:
        assert synchroniser.sync(paper).error == "Asana failed with status 500"
        for one in standins.asana.service.tasks.values():
            one["modified_at"] = (START - timedelta(hours=1)).isoformat()
    standins.clear()
    clock.time += timedelta(hours=1)
    for paper, asked in zip(papers[1:], (["GET", "GET", "PUT"], ["GET", "PUT"]), strict=True):
        assert synchroniser.sync(paper).error is None
        assert calls(standins) == asked
    assert len(standins.asana.service.tasks) == 100 + len(papers)


def test_a_task_that_somebody_made_another_papers_is_left_to_that(
    engine: Engine, synchroniser: Synchroniser, standins: Standins
) -> None:
    add_paper(engine)
    first = synchroniser.sync(PAPER).gid
    standins.asana.service.tasks[first or ""]["custom_fields"][1]["text_value"] = "2302.00002"
    again = synchroniser.sync(PAPER)
    assert (again.error, len(standins.asana.service.tasks)) == (None, 2)
    assert again.gid != first


def test_a_failure_is_kept_with_its_time_of_next_try_and_its_end(
    engine: Engine, synchroniser: Synchroniser, standins: Standins, clock: Clock
) -> None:
    add_paper(engine)
    for failures, minutes in ((1, 1), (2, 2)):
        standins.asana.fault("status", status=500, times=3)
        outcome = synchroniser.sync(PAPER)
        assert (outcome.error, outcome.all_suffer) == ("Asana failed with status 500", True)
        known = row(engine)
        assert (known.state, known.failures, known.error) == ("pending", failures, "Asana failed with status 500")
        with transaction(engine) as connection:
            (task,) = asana_tasks.pending_tasks(connection)
        assert task.next_try_at == START + timedelta(minutes=minutes)
    assert synchroniser.due(None) == []
    assert synchroniser.due(None, every=True) == [PAPER]
    clock.time += timedelta(minutes=2)
    assert synchroniser.due(None) == [PAPER]
    assert synchroniser.sync(PAPER).error is None
    assert (row(engine).state, row(engine).failures, row(engine).error) == ("synced", 0, None)
    assert synchroniser.due(None, every=True) == []


def test_a_refusal_of_one_task_says_nothing_about_the_next(
    engine: Engine, synchroniser: Synchroniser, standins: Standins
) -> None:
    add_paper(engine)
    standins.asana.fault("status", status=400, method="POST")
    outcome = synchroniser.sync(PAPER)
    assert outcome.error == "Asana refuses the task (400)"
    assert not outcome.all_suffer


def test_a_task_of_a_paper_that_is_gone_is_forgotten(
    engine: Engine, synchroniser: Synchroniser, standins: Standins
) -> None:
    with transaction(engine) as connection:
        asana_tasks.ask_for_sync(connection, synchroniser._settings.project, PAPER, error=None, now=START)
    assert synchroniser.due(None) == [PAPER]
    assert synchroniser.sync(PAPER).error is None
    assert synchroniser.due(None, every=True) == []
    assert calls(standins) == []


def test_while_another_one_works_on_the_task_asana_is_not_asked(
    engine: Engine, settings: AsanaSettings, asana: Asana, standins: Standins, clock: Clock
) -> None:
    add_paper(engine)
    with transaction(engine) as connection:
        until = START + module.LEASE
        assert asana_tasks.take_lease(connection, settings.project, PAPER, holder="another", now=START, until=until)
    elapsed = [0.0]

    def sleep(seconds: float) -> None:
        elapsed[0] += seconds

    deadline = Deadline(at=60, clock=lambda: elapsed[0], sleep=sleep)
    late = Synchroniser(engine=engine, settings=settings, asana=asana, deadline=deadline, now=clock)
    assert late.sync(PAPER).error == BUSY
    assert 9 < elapsed[0] < 11
    assert calls(standins) == []
    assert late.due(None) == []


def test_whoever_lost_the_lease_makes_nobody_think_that_it_is_free(engine: Engine, settings: AsanaSettings) -> None:
    later = START + module.LEASE
    with transaction(engine) as connection:
        slow = asana_tasks.take_lease(connection, settings.project, PAPER, holder="slow", now=START, until=later)
        assert slow is not None
        assert asana_tasks.take_lease(
            connection, settings.project, PAPER, holder="next", now=later, until=later + module.LEASE
        )
        asana_tasks.settle_synced(connection, slow, gid="1", content_hash="x", due=False, now=later)
        asana_tasks.give_back(connection, slow)
    assert (row(engine).lease_by, row(engine).state, row(engine).gid) == ("next", "pending", None)


def test_what_a_killed_run_made_is_found_when_its_lease_has_ended(
    engine: Engine, settings: AsanaSettings, synchroniser: Synchroniser, standins: Standins, clock: Clock
) -> None:
    add_paper(engine)
    with transaction(engine) as connection:
        until = START + module.LEASE
        asana_tasks.take_lease(connection, settings.project, PAPER, holder="killed", now=START, until=until)
    made = add_task(standins, **paper_task(PAPER))
    clock.time += module.LEASE
    assert synchroniser.due(None) == [PAPER]
    assert synchroniser.sync(PAPER).gid == made
    assert list(standins.asana.service.tasks) == [made]


def test_what_a_killed_run_may_have_made_until_its_lease_ended_is_looked_for_in_the_whole_project(
    engine: Engine, settings: AsanaSettings, synchroniser: Synchroniser, standins: Standins, clock: Clock
) -> None:
    add_paper(engine)
    add_paper(engine, "2302.00002")
    with transaction(engine) as connection:
        until = START + module.LEASE
        asana_tasks.take_lease(connection, settings.project, PAPER, holder="killed", now=START, until=until)
    clock.time += timedelta(minutes=1)
    synchroniser.sync("2302.00002")  # looks the project through, too early for the task that the killed run made last
    made = add_task(standins, **paper_task(PAPER))
    standins.asana.service.tasks[made]["modified_at"] = (START - timedelta(hours=1)).isoformat()
    clock.time += module.LEASE
    assert synchroniser.sync(PAPER).gid == made


def test_what_is_stored_while_asana_is_told_is_told_next(
    engine: Engine, settings: AsanaSettings, asana: Asana, standins: Standins, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_paper(engine)
    make = asana.make

    def slow(data: dict[str, object], find: Callable[[], str | None]) -> str:
        add_paper(engine, version=2, summary="News.")
        return make(data, find)

    monkeypatch.setattr(asana, "make", slow)
    synchroniser = Synchroniser(engine=engine, settings=settings, asana=asana, deadline=Deadline.after(60))
    assert synchroniser.sync(PAPER).error is None
    assert (row(engine).state, synchroniser.due(None)) == ("pending", [PAPER])
    synchroniser.sync(PAPER)
    assert row(engine).state == "synced"
    assert "News." in next(iter(standins.asana.service.tasks.values()))["notes"]


def test_a_run_that_is_stopped_or_out_of_time_leaves_the_task_free(
    engine: Engine, synchroniser: Synchroniser, asana: Asana, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(error: BaseException) -> Callable[..., str]:
        def make(*_: object) -> str:
            raise error

        return make

    add_paper(engine)
    monkeypatch.setattr(asana, "make", raising(Interrupted()))
    with pytest.raises(Interrupted):
        synchroniser.sync(PAPER)
    assert (row(engine).state, row(engine).lease_by) == ("pending", None)
    monkeypatch.setattr(asana, "make", raising(OutOfTime()))
    assert synchroniser.sync(PAPER).error == NO_TIME
    assert (row(engine).error, row(engine).lease_by) == (NO_TIME, None)


def test_processes_that_run_at_once_make_one_task(
    engine: Engine, database_url: str, settings: AsanaSettings, standins: Standins
) -> None:
    add_paper(engine)
    with transaction(engine) as connection:
        asana_tasks.ask_for_sync(connection, settings.project, PAPER, error=None, now=START)
    standins.asana.fault("slow", seconds=2, method="POST", times=None)  # so that all have looked before one is made
    env = dict(os.environ) | standins.asana.env() | {"DATABASE_URL": database_url}
    command = [*COMMAND, "asana", "sync", "--all"]
    processes = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = [process.communicate(timeout=100)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    assert len(standins.asana.service.tasks) == 1
    assert calls(standins).count("POST") == 1
    assert row(engine).state == "synced"
