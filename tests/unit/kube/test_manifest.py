"""The Kubernetes Job of a run, compared with the files in data/output."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from paperjobs.kube.manifest import Owner, job_manifest, literal
from paperjobs.kube.paperqueue import queue_settings
from paperjobs.model import Claim, Job, QueueSettings
from paperjobs.seed import SEED_BUDGETS
from paperjobs_runner.contract import PAYLOAD_LIMIT, Assignment
from support.manifests import expected, given

RUN = "institutions-0123456789ab"
OWNER = Owner(name="institutions-paper", uid="5c0c2c9e-0000-4000-8000-000000000001")
JOB = Job(
    id="17",
    name="extract",
    claim=Claim(number=3, token="paperjobs:x"),
    attempts_made=1,
    data='{"paperId":"42","arxivUrl":"https://arxiv.org/abs/1706.03762"}',
)


def settings(name: str) -> QueueSettings:
    return queue_settings(given(name), "registry/paperjobs-runner:1", SEED_BUDGETS)


def container(manifest: Mapping[str, Any]) -> dict[str, Any]:
    [only] = manifest["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = only
    return found


def expanded(value: str) -> str:
    """What Kubernetes makes of an env value when no variable is known (expansion.Expand)."""
    return re.sub(r"\$\$|\$\([^)]*\)", lambda match: "$" if match[0] == "$$" else "EXPANDED", value)


@pytest.mark.parametrize("name", ["plain", "full"])
def test_a_queue_and_a_job_make_this_kubernetes_job(name: str) -> None:
    manifest = job_manifest(settings(f"{name}.yaml"), JOB, RUN, OWNER)
    assert manifest == expected(f"{name}-job.yaml", manifest)


def test_the_runner_reads_its_assignment_from_what_kubernetes_hands_on() -> None:
    queue = settings("plain.yaml")
    job = replace(JOB, id="$(PAPERJOBS_QUEUE)", data=json.dumps({"paperId": "$(HOME) $$ $"}))
    env = {
        variable["name"]: expanded(variable["value"])
        for variable in container(job_manifest(queue, job, RUN, OWNER))["env"]
    }
    assert Assignment.from_env(env) == Assignment(
        queue=queue.queue,
        prefix=queue.prefix,
        pipeline=queue.pipeline,
        job_id=job.id,
        job_name=job.name,
        run=RUN,
        claim=3,
        attempt=2,
        payload=job.data,
        timeout_seconds=600,
    )


@given_any(st.text(alphabet="$()AB \n"))
def test_no_text_is_changed_by_kubernetes_expansion(text: str) -> None:
    assert expanded(literal(text)) == text


def test_a_jobs_data_is_nowhere_but_in_the_payload() -> None:
    job = replace(JOB, data='{"marker": "untrusted-marker"}')
    manifest = job_manifest(settings("plain.yaml"), job, RUN, OWNER)
    env = container(manifest)["env"]
    [payload] = [variable for variable in env if "untrusted-marker" in variable["value"]]
    assert payload["name"] == "PAPERJOBS_PAYLOAD"
    env.remove(payload)
    assert "untrusted-marker" not in json.dumps(manifest)


def test_a_jobs_id_is_in_its_variable_and_one_annotation_only() -> None:
    job = replace(JOB, id="untrusted-marker")
    manifest = job_manifest(settings("plain.yaml"), job, RUN, OWNER)
    container(manifest)["env"] = []
    for place in (manifest, manifest["spec"]["template"]):
        assert place["metadata"]["annotations"].pop("paperjobs.dev/job-id", "untrusted-marker") == "untrusted-marker"
    assert "untrusted-marker" not in json.dumps(manifest)


def test_a_very_long_job_id_is_cut_in_the_annotation() -> None:
    manifest = job_manifest(settings("plain.yaml"), replace(JOB, id="x" * 5000), RUN, OWNER)
    assert len(manifest["metadata"]["annotations"]["paperjobs.dev/job-id"]) == 512


def test_the_largest_job_that_is_launched_fits_well_into_etcd() -> None:
    largest = replace(JOB, id="$" * 512, name="$" * 512, data=json.dumps({"paperId": "$" * (PAYLOAD_LIMIT - 20)}))
    assert largest.payload is not None
    assert len(json.dumps(job_manifest(settings("plain.yaml"), largest, RUN, OWNER))) < 100_000


def test_a_payload_too_large_for_the_environment_is_left_for_the_runner_to_read() -> None:
    job = replace(JOB, data=json.dumps({"abstract": "x" * PAYLOAD_LIMIT}))
    names = [variable["name"] for variable in container(job_manifest(settings("plain.yaml"), job, RUN, OWNER))["env"]]
    assert "PAPERJOBS_PAYLOAD" not in names
    assert "PAPERJOBS_JOB_ID" in names


def test_variables_of_the_infra_team_cannot_replace_the_jobs() -> None:
    queue = settings("plain.yaml")
    queue = replace(queue, template=replace(queue.template, env=({"name": "PAPERJOBS_JOB_ID", "value": "99"},)))
    values = [
        variable["value"]
        for variable in container(job_manifest(queue, JOB, RUN, OWNER))["env"]
        if variable["name"] == "PAPERJOBS_JOB_ID"
    ]
    assert values == ["17"]
