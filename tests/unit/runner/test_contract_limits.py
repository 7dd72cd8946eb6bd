"""The contract at its limits: whatever a run says fits into a termination message, and whatever a pod wrote is read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paperjobs_runner.contract import (
    PAYLOAD,
    PAYLOAD_LIMIT,
    TERMINATION_MESSAGE_LIMIT,
    Assignment,
    Budget,
    ContractError,
    Report,
)

texts = st.text(max_size=60) | st.integers(0, 6000).map("ü".__mul__) | st.integers(0, 3000).map("\U0001f600".__mul__)
results = st.none() | st.dictionaries(st.text(max_size=20), st.integers() | texts, max_size=5)
ASSIGNMENT = Assignment(
    queue="q",
    prefix="bull",
    pipeline="institution-extraction",
    job_id="7",
    job_name="paper",
    run="q-abc",
    claim=2,
    attempt=1,
    payload='{"paperId":"p"}',
    timeout_seconds=600,
    budgets=(Budget(name="arxiv", max=1, per_ms=3_000), Budget(name="adobe", max=5, per_ms=60_000)),
)


@given(results, st.none() | texts, st.none() | texts, st.none() | st.integers(0, 10**12))
def test_a_report_of_any_size_fits_and_keeps_what_fits(
    result: dict[str, object] | None, error_type: str | None, message: str | None, retry_after: int | None
) -> None:
    report = Report(result=result, error_type=error_type, message=message, retry_after_ms=retry_after)
    encoded = report.encode()
    assert len(encoded) <= TERMINATION_MESSAGE_LIMIT
    decoded = Report.decode(encoded.decode())
    assert decoded is not None
    assert decoded.retry_after_ms == retry_after
    assert (decoded.result is None) == (result is None)
    if message:
        assert (decoded.message or "").startswith(message[:100])


@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "replace")))
def test_any_termination_message_of_a_foreign_image_is_read_without_an_error(text: str) -> None:
    Report.decode(text)


def test_a_message_that_is_no_json_object_or_holds_nan_is_none_of_ours() -> None:
    assert Report.decode("[1]") is None
    assert Report.decode('{"result": {"share": NaN}}') is None
    assert Report.decode("[" * 100_000) is None


def test_an_assignment_survives_its_environment() -> None:
    assert Assignment.from_env(ASSIGNMENT.to_env()) == ASSIGNMENT


@pytest.mark.parametrize(("length", "carried"), [(PAYLOAD_LIMIT, True), (PAYLOAD_LIMIT + 1, False)])
def test_a_payload_over_the_limit_is_left_to_the_job(length: int, carried: bool) -> None:
    assert (PAYLOAD in replace(ASSIGNMENT, payload="x" * length).to_env()) is carried
    # The limit is in bytes, not characters.
    assert PAYLOAD not in replace(ASSIGNMENT, payload="ü" * (PAYLOAD_LIMIT // 2 + 1)).to_env()


def test_every_variable_that_is_missing_or_no_number_is_named() -> None:
    env = ASSIGNMENT.to_env() | {"PAPERJOBS_CLAIM": "two"}
    del env["PAPERJOBS_QUEUE"]
    with pytest.raises(ContractError, match=r"PAPERJOBS_QUEUE, PAPERJOBS_CLAIM"):
        Assignment.from_env(env)


@pytest.mark.parametrize(
    "value",
    [
        "arxiv",
        "[]",
        '{"arxiv": 3}',
        '{"arxiv": {"max": 1}}',
        '{"arxiv": {"max": 0, "perMs": 3000}}',
        '{"arxiv": {"max": true, "perMs": 3000}}',
        '{"arxiv": {"max": 1, "perMs": "3s"}}',
    ],
)
def test_budgets_that_cannot_be_read_are_not_taken_for_none(value: str) -> None:
    with pytest.raises(ContractError, match="PAPERJOBS_BUDGETS"):
        Assignment.from_env(ASSIGNMENT.to_env() | {"PAPERJOBS_BUDGETS": value})


def test_a_queue_without_budgets_needs_no_variable() -> None:
    free = replace(ASSIGNMENT, budgets=())
    assert "PAPERJOBS_BUDGETS" not in free.to_env()
    assert Assignment.from_env(free.to_env()) == free


def test_a_report_tells_of_the_budget_to_hold_and_whether_it_is() -> None:
    report = Report(message="arXiv asks to wait", retry_after_ms=5, budget="arxiv", budget_held=True)
    assert Report.decode(report.encode().decode()) == report


def test_the_payload_is_json_text_that_nobody_rewrote() -> None:
    payload = json.dumps({"paperId": "$(HOME) $$ \u2028"})
    env = ASSIGNMENT.to_env() | {PAYLOAD: payload}
    assert Assignment.from_env(env).payload == payload
