"""PaperJobs: those the operator makes from untrusted payloads, those people make, and what their status says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from paperjobs.kube.paperjob import paperjob_manifest, paperjob_status, paperjob_view
from paperjobs.model import Backoff, BackoffType, Claim, EnqueueOptions, Job, JobPhase, JobStatus, QueueSettings

QUEUE = QueueSettings(name="institutions", queue="q", pipeline="p", concurrency=1)
NOW = 1_795_459_512_345


def job(data: str, job_id: str = "17") -> Job:
    return Job(id=job_id, name="extract", claim=Claim(number=1, token="t"), attempts_made=0, data=data)


def by_hand(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "mine", "uid": "1234"}, "spec": {"queue": "institutions", **spec}}


def by_operator(status: dict[str, Any] | None = None) -> dict[str, Any]:
    made = paperjob_manifest(QUEUE, job("{}"))
    return {**made, "metadata": {**made["metadata"], "uid": "5678"}, "status": status or {}}


def test_a_claimed_job_is_shown_with_its_paper() -> None:
    made = paperjob_manifest(QUEUE, job('{"paperId": "42", "arxivUrl": "https://arxiv.org/abs/1706.03762"}'))
    assert made["spec"] == {
        "queue": "institutions",
        "jobId": "17",
        "paperId": "42",
        "arxivUrl": "https://arxiv.org/abs/1706.03762",
    }
    assert made["metadata"]["labels"]["paperjobs.dev/origin"] == "redis"


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        # Not JSON, not an object, not the fields that we know.
        ("not json", {}),
        ("[1, 2]", {}),
        ('{"something": "else"}', {}),
        ('{"paperId": {"nested": true}, "arxivUrl": null}', {}),
        ('{"paperId": true, "arxivUrl": ""}', {}),
        # A number is a usable id.
        ('{"paperId": 42}', {"paperId": "42"}),
        # What a terminal would obey is taken out.
        ('{"paperId": "a\\u001b[31mb\\nc"}', {"paperId": "a [31mb c"}),
        ('{"paperId": "abc\\u202edef"}', {"paperId": "abc def"}),
    ],
)
def test_a_payload_of_any_shape_is_shown_as_far_as_it_goes(data: str, shown: dict[str, str]) -> None:
    spec = paperjob_manifest(QUEUE, job(data))["spec"]
    assert {name: spec[name] for name in ("paperId", "arxivUrl") if name in spec} == shown


def test_long_texts_are_cut_to_what_the_crd_allows() -> None:
    made = paperjob_manifest(QUEUE, job(json.dumps({"paperId": "x" * 999, "arxivUrl": "y" * 9999}), "z" * 9999))
    lengths = {name: len(value) for name, value in made["spec"].items()}
    assert (lengths["paperId"], lengths["arxivUrl"], lengths["jobId"]) == (200, 2048, 512)


def test_an_exotic_job_id_is_kept_as_it_is_since_the_job_is_found_by_it() -> None:
    exotic = " a/../b $(X) \x1b[31m ü "
    made = paperjob_manifest(QUEUE, job("{}", exotic))
    assert paperjob_view({**made, "status": {}}).job_id == exotic


def test_a_persons_paperjob_becomes_the_payload_that_the_web_app_would_send() -> None:
    view = paperjob_view(by_hand(paperId="42", arxivUrl="https://arxiv.org/abs/1706.03762", options={"model": "x"}))
    assert (view.made_by_hand, view.job_id) == (True, "pj-1234")
    assert json.loads(view.data) == {
        "paperId": "42",
        "arxivUrl": "https://arxiv.org/abs/1706.03762",
        "options": {"model": "x"},
    }


def test_what_a_person_set_beside_the_paper_is_how_the_job_is_enqueued() -> None:
    body = by_hand(delay="1h30m", priority=7, attempts=4, backoff={"delay": "5s", "jitter": 0.5})
    body["metadata"]["creationTimestamp"] = "2026-11-24T10:00:00Z"
    at_half_past_eleven = 1_795_519_800_000
    assert paperjob_view(body).options == EnqueueOptions(
        # A second more: creation times are cut to the second, and it must not start too early.
        not_before=at_half_past_eleven + 1_000,
        priority=7,
        attempts=4,
        backoff=Backoff(type=BackoffType.EXPONENTIAL, delay_ms=5_000, jitter=0.5),
    )
    assert paperjob_view(by_hand()).options == EnqueueOptions()


def test_the_operators_paperjob_is_never_enqueued() -> None:
    view = paperjob_view(by_operator())
    assert (view.made_by_hand, view.job_id, view.data) == (False, "17", "{}")


@pytest.mark.parametrize(
    "status",
    [
        JobStatus(phase=JobPhase.PENDING, job_id="17", attempt=1, reason="Unschedulable"),
        JobStatus(phase=JobPhase.RUNNING, job_id="17", attempt=2, progress="40%", run="r", started_at=NOW),
        JobStatus(phase=JobPhase.DELAYED, job_id="17", reason="Backoff", message="slow", not_before=NOW + 1),
        JobStatus(phase=JobPhase.COMPLETED, job_id="17", run="r", finished_at=NOW, result={"n": [1]}),
        JobStatus(phase=JobPhase.FAILED, job_id="17", reason="OOMKilled", message="too much", finished_at=NOW),
    ],
)
def test_a_status_reads_back_as_it_was_written(status: JobStatus) -> None:
    written = paperjob_status(by_operator(), status, NOW)
    stored = {name: value for name, value in written.items() if value is not None}
    view = paperjob_view(by_operator(stored))
    assert (view.status, view.finished_at) == (status, status.finished_at)


def test_an_object_without_a_status_has_none() -> None:
    assert paperjob_view(by_operator()).status is None


@pytest.mark.parametrize(
    ("phase", "conditions"),
    [
        (JobPhase.COMPLETED, {"Complete": "True", "Failed": "False"}),
        (JobPhase.FAILED, {"Complete": "False", "Failed": "True"}),
        (JobPhase.RUNNING, None),
    ],
)
def test_conditions_say_how_it_ended_and_nothing_before(phase: JobPhase, conditions: dict[str, str] | None) -> None:
    written = paperjob_status(by_operator(), JobStatus(phase=phase, job_id="17", finished_at=NOW), NOW)["conditions"]
    found = {known["type"]: known["status"] for known in written} if written else None
    assert found == conditions


def test_untrusted_messages_and_results_are_bounded() -> None:
    status = JobStatus(phase=JobPhase.FAILED, job_id="17", message="x\x1b" * 9999, result={"big": "y" * 99_999})
    written = paperjob_status(by_operator(), status, NOW)
    assert len(json.dumps(written)) < 20_000
    assert "\\u001b" not in json.dumps(written)
    assert written["result"] == {"truncated": True}


def test_a_retry_takes_back_what_the_earlier_attempt_said() -> None:
    failed = JobStatus(phase=JobPhase.DELAYED, job_id="17", reason="Backoff", message="slow", not_before=NOW)
    again = replace(failed, phase=JobPhase.RUNNING, reason="", message="", not_before=None)
    written = paperjob_status(by_operator(), again, NOW)
    assert (written["reason"], written["message"], written["notBefore"]) == (None, None, None)
