"""Our client of Asana against its stand-in: what the SDK gets wrong does not reach the run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from paperjobs_runner.asana_sync.content import paper_of
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import RateLimited, ServiceFailed, ServiceRefused
from paperjobs_runner.services import asana as module
from paperjobs_runner.services.allowance import Allowance
from paperjobs_runner.services.asana import Asana
from paperjobs_runner.settings_asana import AsanaSettings
from paperjobs_standins.server import Standins
from support.asana_tasks import add_task, paper_task
from support.ports import free_port


@pytest.fixture
def slept() -> list[float]:
    """The pauses between tries, which take no time here."""
    return []


@pytest.fixture
def asana(settings: AsanaSettings, slept: list[float]) -> Iterator[Asana]:
    with closing(Asana(settings, Deadline(at=time.monotonic() + 60, sleep=slept.append))) as asana:
        yield asana


def nothing() -> str | None:
    return None


def by_name(asana: Asana, name: str) -> str | None:
    return next((task["gid"] for task in asana.tasks() if name in task["notes"]), None)


def calls(standins: Standins) -> list[str]:
    return [f"{request.method} {request.target.split('?')[0]}" for request in standins.asana.requests]


class Counted:
    """An allowance that counts, of every service."""

    def __init__(self) -> None:
        self.draws, self.held = 0, [0.0]

    def of(self, service: str, otherwise: Allowance) -> Allowance:
        assert service == "asana"
        return self

    def draw(self) -> None:
        self.draws += 1

    def hold(self, asked: RateLimited) -> bool:
        self.held.append(asked.retry_after_ms / 1000)
        return True


def test_a_task_is_made_changed_found_and_known_to_be_gone(asana: Asana, standins: Standins) -> None:
    gid = asana.make({"name": "A", "notes": "first"}, nothing)
    asana.change(gid, {"notes": "second"})
    assert standins.asana.service.tasks[gid]["notes"] == "second"
    assert by_name(asana, "second") == gid
    assert by_name(asana, "first") is None
    assert asana.task(gid) is not None
    del standins.asana.service.tasks[gid]
    assert asana.task(gid) is None


def test_a_task_that_was_taken_out_of_the_project_is_not_the_projects(asana: Asana, standins: Standins) -> None:
    gid = asana.make({"name": "A"}, nothing)
    standins.asana.service.tasks[gid]["projects"] = []
    assert asana.task(gid) is None


def test_all_pages_are_looked_through_with_one_draw_each(settings: AsanaSettings, standins: Standins) -> None:
    for number in range(250):
        add_task(standins, name=str(number), notes=f"number {number}.")
    budgets = Counted()
    with closing(Asana(settings, Deadline.after(60), budgets)) as asana:
        assert [task["notes"] for task in asana.tasks()] == [f"number {number}." for number in range(250)]
    assert (len(calls(standins)), budgets.draws) == (3, 3)


def test_what_was_changed_since_is_asked_for_alone(asana: Asana, standins: Standins) -> None:
    old, new = add_task(standins, name="old"), add_task(standins, name="new")
    standins.asana.service.tasks[old]["modified_at"] = "2026-01-01T12:00:00.000+00:00"
    standins.asana.service.tasks[new]["modified_at"] = "2026-01-01T12:00:01.000+00:00"
    since = datetime(2026, 1, 1, 13, 0, 1, tzinfo=timezone(timedelta(hours=1)))
    assert [task["gid"] for task in asana.tasks(since=since)] == [new]
    assert [task["gid"] for task in asana.tasks(since=since - timedelta(seconds=1))] == [old, new]


@pytest.mark.parametrize("kind", ["reset", "garbage", "empty", "truncate"])
def test_a_broken_answer_to_a_question_is_asked_for_again(asana: Asana, standins: Standins, kind: str) -> None:
    gid = add_task(standins, name="A", notes="here")
    standins.asana.fault(kind)
    assert by_name(asana, "here") == gid
    standins.asana.fault(kind)
    assert asana.task(gid) is not None
    standins.asana.fault(kind)
    asana.change(gid, {"notes": "there"})
    assert standins.asana.service.tasks[gid]["notes"] == "there"


@pytest.mark.parametrize("kind", ["lost", "truncate"])
def test_a_task_whose_answer_was_lost_is_found_and_not_made_twice(asana: Asana, standins: Standins, kind: str) -> None:
    standins.asana.fault(kind, method="POST")
    gid = asana.make({"name": "A", "notes": "here"}, lambda: by_name(asana, "here"))
    assert list(standins.asana.service.tasks) == [gid]
    assert calls(standins) == ["POST /api/1.0/tasks", "GET /api/1.0/projects/1100000000000002/tasks"]


@pytest.mark.parametrize("kind", ["reset", "garbage", "empty"])
def test_a_task_that_was_not_made_is_looked_for_and_then_made(asana: Asana, standins: Standins, kind: str) -> None:
    standins.asana.fault(kind, method="POST")
    gid = asana.make({"name": "A", "notes": "here"}, lambda: by_name(asana, "here"))
    assert list(standins.asana.service.tasks) == [gid]
    assert [call.split()[0] for call in calls(standins)] == ["POST", "GET", "POST"]


@pytest.mark.parametrize("status", [500, 502, 503])
def test_failures_are_retried_by_us_and_not_by_the_sdk(asana: Asana, standins: Standins, status: int) -> None:
    standins.asana.fault("status", status=status, times=None)
    with pytest.raises(ServiceFailed, match=str(status)):
        asana.task("1")
    assert len(calls(standins)) == 3


def test_an_asana_that_cannot_be_reached_is_given_up_within_seconds(
    settings: AsanaSettings, slept: list[float]
) -> None:
    nowhere = replace(settings, url=f"http://127.0.0.1:{free_port()}/api/1.0")
    with closing(Asana(nowhere, Deadline(at=time.monotonic() + 60, sleep=slept.append))) as asana:
        with pytest.raises(ServiceFailed, match="cannot be reached"):
            asana.task("1")
        with pytest.raises(ServiceFailed, match="cannot be reached"):
            asana.make({"name": "A"}, nothing)
    assert slept == [1, 2, 1, 2]


@pytest.mark.parametrize("remaining", [60.0, 11.9])  # a fraction must not become a float: the SDK would ignore it
def test_an_asana_that_does_not_answer_is_given_up(
    settings: AsanaSettings, standins: Standins, monkeypatch: pytest.MonkeyPatch, remaining: float
) -> None:
    monkeypatch.setattr(module, "CALL_S", 1)
    standins.asana.fault("hang", times=None)
    began = time.monotonic()
    deadline = Deadline(at=began + remaining, sleep=lambda _: None)
    with closing(Asana(settings, deadline)) as asana, pytest.raises(ServiceFailed, match="cannot be reached"):
        asana.task("1")
    assert time.monotonic() - began < 8


def test_a_short_wait_is_sat_out_also_when_a_task_is_made(asana: Asana, standins: Standins, slept: list[float]) -> None:
    standins.asana.fault("status", status=429, retry_after=2)
    asana.make({"name": "A"}, nothing)
    standins.asana.fault("status", status=429, retry_after=3)
    assert by_name(asana, "nowhere") is None
    assert slept == [2, 3]
    assert len(standins.asana.service.tasks) == 1


@pytest.mark.parametrize(("header", "wait_ms"), [(45, 45_000), (None, 60_000), (21_600, 3_600_000)])
def test_a_long_wait_is_not_slept_here(
    asana: Asana, standins: Standins, slept: list[float], header: int | None, wait_ms: int
) -> None:
    standins.asana.fault("status", status=429, retry_after=header, times=None)
    attempts: list[Callable[[], object]] = [lambda: asana.task("1"), lambda: asana.make({"name": "A"}, nothing)]
    for call in attempts:
        with pytest.raises(RateLimited) as limited:
            call()
        assert limited.value.retry_after_ms == wait_ms
    assert slept == []


def test_a_wait_is_told_to_the_budget_which_every_call_draws_on(settings: AsanaSettings, standins: Standins) -> None:
    standins.asana.fault("status", status=429, retry_after=2)
    budgets = Counted()
    with closing(Asana(settings, Deadline.after(60), budgets)) as asana:
        asana.make({"name": "A"}, nothing)
    assert (budgets.draws, budgets.held) == (2, [0, 2])


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        (lambda it: replace(it, api_key="2/wrong/token"), "ASANA_API_KEY"),
        (lambda it: replace(it, project="77"), "ASANA_PAPERS_PROJECT_ID"),
    ],
)
def test_wrong_settings_are_named_and_asked_about_once(
    settings: AsanaSettings,
    standins: Standins,
    change: Callable[[AsanaSettings], AsanaSettings],
    setting: str,
) -> None:
    with closing(Asana(change(settings), Deadline.after(60))) as asana:
        attempts: list[Callable[[], object]] = [lambda: by_name(asana, "x"), lambda: asana.make({"name": "A"}, nothing)]
        for call in attempts:
            with pytest.raises(ServiceRefused, match=setting) as refused:
                call()
            assert "token" not in refused.value.message.replace("token in", "")
    assert len(calls(standins)) == 2


def test_a_field_that_the_project_does_not_have_is_named(settings: AsanaSettings, standins: Standins) -> None:
    asana = Asana(replace(settings, abstract_field="99"), Deadline.after(60))
    with closing(asana), pytest.raises(ServiceRefused, match="ASANA_ABSTRACT_FIELD_ID"):
        asana.make({"name": "A", "custom_fields": {"99": "text"}}, nothing)


def test_a_workspace_without_custom_fields_is_told_what_to_do(asana: Asana, standins: Standins) -> None:
    standins.asana.fault("status", status=402)
    with pytest.raises(ServiceRefused, match="unset ASANA_PAPER_LINK_FIELD_ID"):
        asana.make({"name": "A"}, nothing)


def test_a_no_break_space_that_the_sdk_replaces_hides_no_task(
    asana: Asana, settings: AsanaSettings, standins: Standins
) -> None:
    gid = add_task(standins, **paper_task("2301.12345\xa0"))
    (task,) = asana.tasks()
    assert (task["gid"], task["custom_fields"][1]["text_value"]) == (gid, "2301.12345 ")
    assert paper_of(task, settings) == "2301.12345"


PROGRAM = """
import json, logging, sys, threading
from paperjobs_runner.jsonlog import RunLog
from paperjobs_runner.asana_sync.content import paper_of
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.services.asana import Asana
from paperjobs_runner.settings_asana import AsanaSettings
RunLog()
asana = Asana(AsanaSettings(api_key=sys.argv[1], project="1", url=sys.argv[2]), Deadline.after(60))
logging.getLogger("asana.rest").warning("a warning of the SDK")
logging.getLogger("urllib3.connectionpool").warning("a warning of urllib3")
logging.getLogger().setLevel(logging.DEBUG)
logging.getLogger("asana.rest").debug("response body: a paper's abstract")
try:
    list(asana.tasks())
except Exception as error:
    logging.getLogger("paperjobs_runner").error(str(error))
print(json.dumps({"threads": [thread.name for thread in threading.enumerate() if thread.name.startswith("Thread-")]}))
"""


def test_the_sdk_leaves_neither_log_handlers_nor_threads_behind(settings: AsanaSettings) -> None:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, settings.api_key, settings.url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [line.get("message", "")[:30] for line in lines] == [
        "a warning of the SDK",
        "a warning of urllib3",
        "Asana refuses us (404): there ",
        "",
    ]
    assert lines[-1]["threads"] == []
    assert settings.api_key not in ended.stdout
