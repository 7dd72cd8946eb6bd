"""What changes in the objects reaches the engine, and what was only our own status does not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import pytest

from paperjobs.kube.api import APIBUDGETS, PAPERJOBS, PAPERQUEUES, Resource
from paperjobs.kube.desk import Desk
from paperjobs.kube.objects import Objects
from paperjobs.kube.paperjob import paperjob_manifest
from paperjobs.model import Claim, Job, QueueSettings


class Engine:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.configured: list[list[str]] = []
        self.concurrency = 0
        self.woken: list[str] = []
        self.cancelled: list[tuple[str, str]] = []

    def configure(self, queues: Sequence[QueueSettings]) -> None:
        self.configured.append([queue.name for queue in queues])
        self.concurrency = sum(queue.concurrency for queue in queues)

    def wake(self, queue_name: str) -> None:
        self.woken.append(queue_name)

    def cancel(self, key: str, job_id: str) -> None:
        self.cancelled.append((key, job_id))


class Statuses:
    """Remembers what was to be shown."""

    def __init__(self) -> None:
        self.shown: dict[str, dict[str, Any]] = {}

    def show(self, kind: Resource, name: str, status: dict[str, Any]) -> None:
        self.shown[name] = status

    def forget(self, kind: Resource, name: str) -> None:
        self.shown.pop(name, None)


class Office:
    """A desk with its objects, an engine and a status writer."""

    def __init__(self) -> None:
        self.served: list[list[str]] = []
        self.desk = Desk(default_image="image", serves=self.serves, now=lambda: 0)
        self.objects = Objects(self.desk.changed)
        self.engine, self.statuses = Engine(), Statuses()
        self.version = 0

    def serves(self, queues: Collection[QueueSettings]) -> None:
        self.served.append([queue.name for queue in queues])

    def open(self) -> None:
        self.desk.open(self.engine, self.objects, self.statuses)  # type: ignore[arg-type]

    def body(self, name: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
        self.version += 1
        metadata = {"name": name, "uid": name, "resourceVersion": str(self.version), "creationTimestamp": name}
        return {"metadata": metadata, "spec": spec, **more}

    def queue(self, name: str, deleted: bool = False, status: Any = None, **spec: Any) -> None:
        body = self.body(name, {"queue": "q", "pipeline": "p", **spec}, status=status)
        self.objects.saw(PAPERQUEUES, body, deleted)

    def job(self, name: str, deleted: bool = False, status: Any = None, **spec: Any) -> None:
        self.objects.saw(PAPERJOBS, self.body(name, {"queue": "a", **spec}, status=status), deleted)

    def shown_job(self, settings: QueueSettings, job_id: str, **metadata: Any) -> str:
        """A PaperJob as the operator makes it; returns its name."""
        claimed = Job(id=job_id, name="n", claim=Claim(number=1, token="t"), attempts_made=0, data="{}")
        made = paperjob_manifest(settings, claimed)
        known = self.body(made["metadata"]["name"], made["spec"])
        known["metadata"] |= made["metadata"] | metadata
        self.objects.saw(PAPERJOBS, known)
        return str(known["metadata"]["name"])


Q = QueueSettings(name="a", queue="q", pipeline="p", concurrency=1)


@pytest.fixture
def office() -> Office:
    return Office()


def test_nothing_is_served_before_everything_was_listed(office: Office) -> None:
    office.queue("b-younger", concurrency=9)
    assert office.engine.configured == []
    office.queue("a-older")
    office.open()
    assert office.engine.configured == [["a-older"]]
    assert office.statuses.shown["b-younger"]["reason"] == "Conflict"


def test_edits_reach_the_engine_and_statuses_do_not(office: Office) -> None:
    office.open()
    office.queue("a")
    office.queue("a", status={"active": "1/1"})
    assert office.engine.configured == [["a"]]
    office.queue("a", concurrency=5)
    assert office.engine.concurrency == 5
    office.queue("a", deleted=True)
    assert office.engine.configured[-1] == []
    assert office.served == [["a"], ["a"], []]


def test_the_younger_takes_over_when_the_older_goes(office: Office) -> None:
    office.queue("a")
    office.queue("b")
    office.open()
    office.queue("a", deleted=True)
    assert office.engine.configured[-1] == ["b"]


def test_a_budget_that_comes_opens_the_queue_that_waits_for_it(office: Office) -> None:
    office.queue("a", budgets=["arxiv"])
    office.open()
    assert office.statuses.shown["a"]["reason"] == "BudgetMissing"
    office.objects.saw(APIBUDGETS, office.body("arxiv", {"limit": {"max": 1, "per": "3s"}}))
    assert office.engine.configured[-1] == ["a"]


def test_an_edited_budget_reaches_the_queues_that_use_it_and_its_status_does_not(office: Office) -> None:
    office.queue("a", budgets=["arxiv"])
    office.objects.saw(APIBUDGETS, office.body("arxiv", {"limit": {"max": 1, "per": "3s"}}))
    office.open()
    told = len(office.engine.configured)
    office.objects.saw(APIBUDGETS, office.body("arxiv", {"limit": {"max": 1, "per": "3s"}}, status={"used": 1}))
    assert len(office.engine.configured) == told
    office.objects.saw(APIBUDGETS, office.body("arxiv", {"limit": {"max": 2, "per": "3s"}}))
    assert len(office.engine.configured) == told + 1


def test_paperjobs_wake_their_queue_when_they_come_and_go(office: Office) -> None:
    office.queue("a")
    office.open()
    office.job("x")
    office.job("x", status={"phase": "Running"})
    assert office.engine.woken == [Q.key]
    office.job("x", deleted=True)
    assert office.engine.woken == [Q.key, Q.key]


def test_a_deleted_paperjob_cancels_its_job_unless_that_has_ended(office: Office) -> None:
    office.queue("a")
    office.open()
    for name, phase in (("waits", "Waiting"), ("done", "Completed"), ("gave-up", "Failed")):
        office.job(name, status={"phase": phase})
        office.job(name, deleted=True)
    office.job("unknown")
    office.job("unknown", deleted=True)
    assert [key for key, _ in office.engine.cancelled] == [Q.key] * 2


def test_the_operators_paperjob_wakes_its_queue_whichever_paperqueue_it_was_made_for(office: Office) -> None:
    office.queue("b")
    office.open()
    office.shown_job(Q, "17")
    assert office.engine.woken == [Q.key]
    assert office.statuses.shown == {}


def test_every_served_queue_is_woken_when_the_cluster_can_be_seen_again(office: Office) -> None:
    office.queue("a")
    office.queue("b", queue="other")
    office.open()
    office.desk.wake_all()
    assert sorted(office.engine.woken) == sorted([Q.key, replace(Q, queue="other").key])


def test_a_persons_paperjob_for_a_queue_that_is_not_served_says_so(office: Office) -> None:
    office.open()
    office.job("x")
    shown = office.statuses.shown["x"]
    assert (shown["phase"], shown["reason"]) == ("Waiting", "NoQueue")
    assert "no PaperQueue a is served" in shown["message"]
    office.queue("a")
    office.job("y")
    office.job("z", status={"phase": "Completed"})
    assert office.statuses.shown == {}


def test_what_a_stray_says_of_itself_does_not_make_the_engine_believe_that_it_was_enqueued(office: Office) -> None:
    office.open()
    office.job("new")
    office.job("old", status={"phase": "Waiting", "jobId": "pj-old"})
    for name in ("new", "old"):
        office.job(name, status=office.statuses.shown[name])
    known = {view.name: view.status for view in office.objects.paperjobs.views(Q)}
    assert known["new"] is None
    assert known["old"] is not None
    assert (known["old"].job_id, known["old"].reason) == ("pj-old", "NoQueue")


def test_a_persons_paperjob_that_names_a_job_is_told_to_leave_it_out(office: Office) -> None:
    office.queue("a")
    office.open()
    office.job("x", jobId="17")
    shown = office.statuses.shown["x"]
    assert (shown["phase"], shown["reason"], shown["jobId"]) == ("Failed", "WrongSpec", None)
    assert "leave out spec.jobId" in shown["message"]
    assert office.engine.woken == []


def test_a_copy_of_the_operators_paperjob_under_another_name_is_told_so_too(office: Office) -> None:
    office.queue("a")
    office.open()
    genuine = office.shown_job(Q, "17")
    copy = office.shown_job(Q, "17", name="copy")
    assert office.statuses.shown.keys() == {copy}
    assert [view.name for view in office.objects.paperjobs.views(Q)] == [genuine]


def test_a_paperjob_that_changes_is_looked_at_alone(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.queue("a")
    for number in range(5):
        office.job(f"x{number}")
    office.open()
    looked_at: list[str] = []
    monkeypatch.setattr(office.desk, "_tell", lambda _, body: looked_at.append(body["metadata"]["name"]))
    office.job("new")
    office.queue("a", status={"active": "1/1"})
    assert looked_at == ["new"]


def test_a_persons_paperjob_that_has_a_run_is_not_told_that_it_has_no_queue(office: Office) -> None:
    office.open()
    office.job("x", status={"phase": "Running", "jobId": "pj-x", "run": "r"})
    assert office.statuses.shown == {}


def test_a_persons_paperjob_that_was_enqueued_stays_with_its_queue_when_another_paperqueue_takes_over(
    office: Office,
) -> None:
    office.queue("a")
    office.queue("b")
    office.open()
    office.job("x", status={"phase": "Waiting", "jobId": "pj-x"})
    assert [view.name for view in office.objects.paperjobs.views(Q)] == ["x"]
    office.queue("a", deleted=True)
    assert office.statuses.shown.keys() <= {"b"}
    assert [view.name for view in office.objects.paperjobs.views(replace(Q, name="b"))] == ["x"]
    office.engine.woken.clear()
    office.job("x", deleted=True)
    assert office.engine.woken == [Q.key]
