"""The CRDs in a real API server: what it prints, explains and refuses, in words for people."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.controlplane import ControlPlane, KubectlError
from support.tools import ROOT

CRDS = ROOT / "crds"

QUEUE_HEADER = ["NAME", "QUEUE", "ACTIVE", "RATE", "WAITING", "DELAYED", "FAILED", "NEXT", "REASON", "AGE"]
JOB_HEADER = ["NAME", "QUEUE", "PAPER", "PHASE", "ATTEMPT", "PROGRESS", "REASON", "UNTIL", "AGE"]


@pytest.fixture(scope="module", autouse=True)
def _crds(control_plane: ControlPlane) -> None:
    control_plane.kubectl("apply", "-f", str(CRDS))
    control_plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")


def paperqueue(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "paperjobs.dev/v1alpha1",
        "kind": "PaperQueue",
        "metadata": {"name": "q"},
        "spec": {"queue": "q", "pipeline": "institution-extraction", **spec},
    }


def paperjob(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "paperjobs.dev/v1alpha1",
        "kind": "PaperJob",
        "metadata": {"name": "p"},
        "spec": {"queue": "q", "paperId": "42", "arxivUrl": "https://arxiv.org/abs/1706.03762", **spec},
    }


def create(cluster: ControlPlane, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = cluster.kubectl("create", "-n", namespace, "-o", "json", "-f", "-", stdin=json.dumps(body))
    made: dict[str, Any] = json.loads(answer)
    return made


def patch(cluster: ControlPlane, namespace: str, name: str, body: dict[str, Any], *options: str) -> None:
    cluster.kubectl("patch", name, "-n", namespace, "--type=merge", "-p", json.dumps(body), *options)


def test_the_seed_queues_apply_as_they_are(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("apply", "-n", namespace, "-f", str(CRDS / "budgets"), "-f", str(CRDS / "queues"))
    listed = json.loads(control_plane.kubectl("get", "pq", "-n", namespace, "-o", "json"))["items"]
    limits = {
        item["metadata"]["name"]: (item["spec"]["concurrency"], item["spec"]["rateLimit"]["max"]) for item in listed
    }
    assert limits == {
        "institution-extraction": (2, 10),
        "author-extraction": (2, 10),
        "llm-processing": (1, 5),
        "auto-tagging": (3, 20),
    }


def test_paperqueues_print_their_columns_with_the_values_of_their_status(
    control_plane: ControlPlane, namespace: str
) -> None:
    create(control_plane, namespace, paperqueue())
    status = {
        "active": "1/2",
        "rate": "7/10 per 60s",
        "waiting": 3,
        "delayed": 4,
        "failed": 5,
        "next": "18:05:12Z",
        "reason": "WindowFull",
    }
    patch(control_plane, namespace, "pq/q", {"status": status}, "--subresource=status")
    header, row = control_plane.kubectl("get", "paperqueues", "-n", namespace).splitlines()
    assert header.split() == QUEUE_HEADER
    assert row.split()[:-1] == ["q", "q", "1/2", "7/10", "per", "60s", "3", "4", "5", "18:05:12Z", "WindowFull"]


def test_paperjobs_print_their_columns_with_the_values_of_their_status(
    control_plane: ControlPlane, namespace: str
) -> None:
    create(control_plane, namespace, paperjob())
    status = {"phase": "Failed", "attempt": 2, "progress": "40%", "reason": "OOMKilled"}
    patch(control_plane, namespace, "pj/p", {"status": status}, "--subresource=status")
    header, row = control_plane.kubectl("get", "paperjobs", "-n", namespace).splitlines()
    assert header.split() == JOB_HEADER
    assert row.split()[:-1] == ["p", "q", "42", "Failed", "2", "40%", "OOMKilled"]


def test_kubectl_wait_understands_the_conditions(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, namespace, paperjob())
    condition = {
        "type": "Complete",
        "status": "True",
        "reason": "Completed",
        "message": "",
        "lastTransitionTime": "2026-11-23T18:05:12.000Z",
    }
    patch(control_plane, namespace, "pj/p", {"status": {"conditions": [condition]}}, "--subresource=status")
    control_plane.kubectl("wait", "--for=condition=Complete", "pj/p", "-n", namespace, "--timeout=5s")


@pytest.mark.parametrize("kind", ["paperqueues", "paperjobs", "apibudgets"])
def test_every_field_is_explained(control_plane: ControlPlane, kind: str) -> None:
    explained = control_plane.kubectl("explain", kind, "--recursive=false")
    assert "<empty>" not in explained
    crd = json.loads(control_plane.kubectl("get", "crd", f"{kind}.paperjobs.dev", "-o", "json"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    silent = list(_undescribed(schema, kind))
    assert silent == []


def _undescribed(schema: dict[str, Any], path: str) -> list[str]:
    silent = [] if schema.get("description") else [path]
    for name, field in (schema.get("properties") or {}).items():
        if path.count(".") == 0 and name in ("apiVersion", "kind", "metadata"):
            continue
        silent += _undescribed(field, f"{path}.{name}")
    for name, field in (schema.get("items", {}).get("properties") or {}).items():
        silent += _undescribed(field, f"{path}.{name}")
    return silent


def test_the_objects_have_short_names_and_a_category_that_is_no_kinds_name(
    control_plane: ControlPlane, namespace: str
) -> None:
    create(control_plane, namespace, paperqueue())
    create(control_plane, namespace, paperjob())
    listed = control_plane.kubectl("get", "papers", "-n", namespace, "-o", "name").split()
    assert set(listed) == {"paperqueue.paperjobs.dev/q", "paperjob.paperjobs.dev/p"}
    resources = control_plane.kubectl("api-resources", "--categories=papers", "-o", "name").split()
    assert set(resources) == {f"{kind}.paperjobs.dev" for kind in ("paperqueues", "paperjobs", "apibudgets")}


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"concurrency": -1}, "concurrency cannot be negative; 0 starts no job"),
        ({"rateLimit": {"max": 0, "per": "60s"}}, "max must be at least 1; to start nothing set suspend to true"),
        ({"rateLimit": {"max": 1, "per": "60"}}, "per must be a duration such as 500ms, 60s, 1m or 1h30m"),
        ({"rateLimit": {"max": 1, "per": "0s"}}, "per must be longer than nothing and at most 24h"),
        # More than CEL's duration can hold must not break the rule itself.
        ({"rateLimit": {"max": 1, "per": "9999999999999999h"}}, "spec.rateLimit.per"),
        ({"timeout": "2d"}, "timeout must be a duration such as 90s, 10m or 1h30m"),
        ({"timeout": "25h"}, "timeout must be from 1s to 24h"),
        ({"retry": {"attempts": 0}}, "attempts must be at least 1, the first try included"),
        ({"retry": {"backoff": {"delay": "soon"}}}, "delay must be a duration"),
        ({"retry": {"backoff": {"delay": "1s", "jitter": 1.5}}}, "jitter must be from 0 to 1"),
        ({"runner": {"env": [{"name": "PAPERJOBS_PAYLOAD", "value": "x"}]}}, "hold the job and cannot be set here"),
        ({"runner": {"env": [{"name": "PAPERJOBS_TERMINATION_LOG"}]}}, "hold the job and cannot be set here"),
        ({"queue": "a:b"}, "the name of a BullMQ queue cannot contain a colon"),
        ({"pipeline": "Not a name"}, "spec.pipeline"),
    ],
)
def test_a_wrong_paperqueue_is_refused_with_a_sentence(
    control_plane: ControlPlane, namespace: str, spec: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(KubectlError) as refused:
        create(control_plane, namespace, paperqueue(**spec))
    assert sentence in str(refused.value)


@pytest.mark.parametrize("duration", ["500ms", "60s", "1m", "1h30m"])
def test_durations_are_written_as_people_write_them(control_plane: ControlPlane, namespace: str, duration: str) -> None:
    create(control_plane, namespace, paperqueue(rateLimit={"max": 1, "per": duration}))


def test_limits_may_be_edited_but_not_the_queue_itself(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, namespace, paperqueue())
    patch(control_plane, namespace, "pq/q", {"spec": {"concurrency": 7, "suspend": True}})
    with pytest.raises(KubectlError, match="queue cannot be changed; make another PaperQueue"):
        patch(control_plane, namespace, "pq/q", {"spec": {"queue": "other"}})
    with pytest.raises(KubectlError, match="prefix cannot be changed"):
        patch(control_plane, namespace, "pq/q", {"spec": {"prefix": "other"}})


@pytest.mark.parametrize(
    "change",
    [{"paperId": "43"}, {"options": {"model": "y"}}, {"options": {"model": "x", "more": "z"}}, {"jobId": "1"}],
)
def test_a_paperjob_cannot_be_changed(control_plane: ControlPlane, namespace: str, change: dict[str, Any]) -> None:
    create(control_plane, namespace, paperjob(options={"model": "x"}))
    with pytest.raises(KubectlError, match="a PaperJob cannot be changed; delete it and make another"):
        patch(control_plane, namespace, "pj/p", {"spec": change})


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"delay": "soon"}, "delay must be a duration such as 500ms, 60s, 1m or 1h30m"),
        ({"delay": "8761h"}, "delay can be at most 8760h, a year"),
        ({"priority": -1}, "priority must be from 0 to 2097152"),
        ({"priority": 2097153}, "priority must be from 0 to 2097152"),
        ({"attempts": 0}, "attempts must be from 1 to 100, the first try included"),
        ({"attempts": 101}, "attempts must be from 1 to 100, the first try included"),
        ({"backoff": {"type": "fixed"}}, "spec.backoff.delay"),
        ({"backoff": {"delay": "25h"}}, "delay can be at most 24h"),
        ({"backoff": {"delay": "1s", "jitter": 1.5}}, "jitter must be from 0 to 1"),
    ],
)
def test_a_wrong_paperjob_is_refused_with_a_sentence(
    control_plane: ControlPlane, namespace: str, spec: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(KubectlError) as refused:
        create(control_plane, namespace, paperjob(**spec))
    assert sentence in str(refused.value)


def test_a_persons_paperjob_needs_a_paper_and_the_operators_need_not_have_one(
    control_plane: ControlPlane, namespace: str
) -> None:
    body = paperjob()
    del body["spec"]["paperId"], body["spec"]["arxivUrl"]
    with pytest.raises(KubectlError) as refused:
        create(control_plane, namespace, body)
    assert "paperId is required" in str(refused.value)
    assert "arxivUrl is required, for example https://arxiv.org/abs/1706.03762" in str(refused.value)
    body["spec"]["jobId"] = "17"
    create(control_plane, namespace, body)


def test_a_paperqueues_name_fits_into_a_label(control_plane: ControlPlane, namespace: str) -> None:
    body = paperqueue()
    body["metadata"]["name"] = "q" * 64
    with pytest.raises(KubectlError, match="may have at most 63 characters"):
        create(control_plane, namespace, body)


def test_every_name_that_a_paperqueue_may_have_is_a_label_value(control_plane: ControlPlane, namespace: str) -> None:
    body = paperqueue()
    for name in ("a.b-c", "0", "q" * 63):
        body["metadata"]["name"] = name
        create(control_plane, namespace, body)
        control_plane.kubectl("label", "-n", namespace, f"pq/{name}", f"paperjobs.dev/queue={name}")
    for name in ("a_b", "A", "-a", "a."):
        body["metadata"]["name"] = name
        with pytest.raises(KubectlError, match=r"metadata\.name"):
            create(control_plane, namespace, body)


def test_settings_of_the_runner_that_begin_like_its_assignment_may_be_set(
    control_plane: ControlPlane, namespace: str
) -> None:
    create(
        control_plane, namespace, paperqueue(runner={"env": [{"name": "PAPERJOBS_STORAGE_DIR", "value": "/papers"}]})
    )


def test_an_apibudget_needs_a_limit_above_nothing(control_plane: ControlPlane, namespace: str) -> None:
    body: dict[str, Any] = {
        "apiVersion": "paperjobs.dev/v1alpha1",
        "kind": "ApiBudget",
        "metadata": {"name": "arxiv"},
        "spec": {"limit": {"max": 0, "per": "3s"}},
    }
    with pytest.raises(KubectlError, match="max must be at least 1"):
        create(control_plane, namespace, body)
    body["spec"]["limit"]["max"] = 1
    create(control_plane, namespace, body)
