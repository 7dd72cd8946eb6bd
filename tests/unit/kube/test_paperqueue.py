"""A PaperQueue's spec as settings, and its status as people see it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import yaml

from paperjobs.assignment import RESERVED
from paperjobs.kube.paperqueue import WrongSpec, queue_settings, refused_status, served_status
from paperjobs.model import Backoff, BackoffType, Counts, QueueSettings, QueueStatus, RateLimit
from paperjobs.seed import ARXIV, SEED_BUDGETS, SEED_QUEUES
from paperjobs_runner import contract
from support.manifests import given
from support.tools import ROOT

NOW = 1_795_459_512_345
BODY: dict[str, Any] = {"metadata": {"name": "q", "generation": 4}, "spec": {"queue": "q", "pipeline": "p"}}


def body(**spec: Any) -> dict[str, Any]:
    return {**BODY, "spec": {"queue": "q", "pipeline": "p", **spec}}


def test_every_field_reaches_the_settings() -> None:
    queue = queue_settings(given("full.yaml"), "default:1", {"arxiv": ARXIV})
    assert (queue.name, queue.queue, queue.prefix, queue.pipeline) == (
        "tagging",
        "auto-tagging",
        "app",
        "auto-tagging",
    )
    assert (queue.concurrency, queue.rate_limit) == (3, RateLimit(max=20, per_ms=60_000))
    assert queue.disruptions == 3
    assert (queue.attempts, queue.backoff) == (5, Backoff(type=BackoffType.FIXED, delay_ms=500, jitter=0.5))
    assert (queue.budgets, queue.suspend) == ((ARXIV,), True)
    assert (queue.keep_completed, queue.keep_failed) == (7, 8)
    assert queue.timeout_s == 91, "a timeout is rounded up, never down"
    assert (queue.start_timeout_s, queue.image_grace_s) == (1201, 45)


def test_what_is_not_set_has_the_models_defaults() -> None:
    queue = queue_settings(given("plain.yaml"), "default:1")
    reference = QueueSettings(name="q", queue="q", pipeline="p", concurrency=1)
    limits = ("timeout_s", "start_timeout_s", "image_grace_s")
    for field in ("prefix", "concurrency", "rate_limit", "budgets", "attempts", "backoff", "suspend", *limits):
        assert getattr(queue, field) == getattr(reference, field), field
    assert (queue.keep_completed, queue.keep_failed) == (reference.keep_completed, reference.keep_failed)
    assert queue.template.image == "default:1"


def test_the_seed_queues_of_the_cluster_are_those_of_the_laptop() -> None:
    files = sorted((ROOT / "crds" / "queues").glob("*.yaml"))
    bodies = [yaml.safe_load(file.read_text()) for file in files]
    found = {queue.name: queue for queue in (queue_settings(known, "i", SEED_BUDGETS) for known in bodies)}
    assert found.keys() == {queue.name for queue in SEED_QUEUES}
    for queue in SEED_QUEUES:
        for field in ("queue", "prefix", "pipeline", "concurrency", "rate_limit", "budgets", "attempts", "backoff"):
            assert getattr(found[queue.name], field) == getattr(queue, field), (queue.name, field)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"concurrency": -1}, "spec.concurrency: Input should be greater than or equal to 0"),
        ({"rateLimit": {"max": 1, "per": "soon"}}, "spec.rateLimit.per: it must be a duration such as 500ms"),
        ({"rateLimit": {"max": 0, "per": "1s"}}, "spec.rateLimit.max: Input should be greater"),
        ({"timeout": 600}, "spec.timeout: it must be a duration"),
        ({"queue": ""}, "spec.queue"),
        ({"runner": {"env": [{"name": "PAPERJOBS_RUN"}]}}, "spec.runner.env.0: PAPERJOBS_RUN is one of the variables"),
    ],
)
def test_a_wrong_field_is_named_with_its_remedy(spec: dict[str, Any], sentence: str) -> None:
    with pytest.raises(WrongSpec) as caught:
        queue_settings(body(**spec), "i")
    assert sentence in str(caught.value)


def test_the_crd_reserves_the_same_variables() -> None:
    crd = (ROOT / "crds" / "paperqueue.yaml").read_text()
    assert set(re.findall(r"'(PAPERJOBS_[A-Z_]+)'", crd)) == RESERVED


def test_every_variable_of_the_contract_is_reserved_and_the_runners_own_settings_are_not() -> None:
    words = [value for name, value in vars(contract).items() if name.isupper() and isinstance(value, str)]
    assert {word for word in words if word.startswith("PAPERJOBS_")} == RESERVED
    env = [{"name": "PAPERJOBS_STORAGE_DIR", "value": "/papers"}]
    assert queue_settings(body(runner={"env": env}), "i").template.env == tuple(env)


def test_all_wrong_fields_are_named_together() -> None:
    with pytest.raises(WrongSpec, match=r"spec\.concurrency.*; spec\.timeout"):
        queue_settings(body(concurrency=-1, timeout="never"), "i")


def test_a_served_queue_shows_its_numbers() -> None:
    status = QueueStatus(
        counts=Counts(waiting=3, delayed=4, failed=5),
        live=1,
        concurrency=2,
        window_used=7,
        rate_limit=RateLimit(max=10, per_ms=60_000),
        next_start_at=NOW,
        reason="WindowFull",
        message="10 of 10 starts used",
    )
    shown = served_status(BODY, status, NOW)
    assert (shown["active"], shown["rate"], shown["next"]) == ("1/2", "7/10 per 60s", "18:45:12Z")
    assert (shown["waiting"], shown["delayed"], shown["failed"]) == (3, 4, 5)
    assert (shown["reason"], shown["observedGeneration"]) == ("WindowFull", 4)
    [ready] = shown["conditions"]
    assert (ready["type"], ready["status"]) == ("Ready", "True")


def test_a_queue_without_a_window_says_so_and_a_flowing_one_has_no_reason() -> None:
    status = QueueStatus(counts=Counts(), live=0, concurrency=1, window_used=0, rate_limit=None)
    shown = served_status(BODY, status, NOW)
    assert (shown["rate"], shown["reason"], shown["next"]) == ("unlimited", None, None)


def test_a_conditions_time_moves_only_with_its_status() -> None:
    status = QueueStatus(counts=Counts(), live=0, concurrency=1, window_used=0, rate_limit=None)
    known = {**BODY, "status": served_status(BODY, status, NOW)}
    [ready] = served_status(known, status, NOW + 60_000)["conditions"]
    assert ready["lastTransitionTime"] == "2026-11-23T18:45:12.345Z"
    [conflict] = refused_status(known, "Conflict", "another is older", NOW + 60_000)["conditions"]
    assert (conflict["status"], conflict["lastTransitionTime"]) == ("False", "2026-11-23T18:46:12.345Z")


def test_foreign_workers_are_warned_about_for_as_long_as_they_hold_jobs() -> None:
    status = QueueStatus(counts=Counts(), live=2, concurrency=2, window_used=0, rate_limit=None, foreign=2)
    _, warning = served_status(BODY, status, NOW)["conditions"]
    assert (warning["type"], warning["status"]) == ("ForeignWorkers", "True")
    assert "2 active jobs" in warning["message"]
    assert len(served_status(BODY, replace(status, foreign=0), NOW)["conditions"]) == 1


def test_a_queue_that_is_not_served_shows_no_stale_numbers() -> None:
    shown = refused_status(BODY, "Conflict", "another is older", NOW)
    assert {name for name, value in shown.items() if value is None} >= {"active", "rate", "waiting", "next"}
    assert shown["reason"] == "Conflict"
