"""A job's data: what is accepted, and that a web developer understands what is not."""

import json

import pytest

from paperjobs_runner.arxiv_id import ArxivId
from paperjobs_runner.errors import PayloadInvalid
from paperjobs_runner.payload import parse_payload

LINK = "https://arxiv.org/abs/2301.12345"


def test_paper_and_link_are_read_and_other_fields_ignored() -> None:
    payload = parse_payload(json.dumps({"paperId": "p-1", "arxivUrl": f" {LINK}v2 ", "userId": 7}))
    assert payload.paper_id == "p-1"
    assert payload.arxiv_id == ArxivId(base="2301.12345", version=2)


def test_a_numeric_paper_id_is_taken_as_text() -> None:
    assert parse_payload(json.dumps({"paperId": 42, "arxivUrl": LINK})).paper_id == "42"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "the job's data is not JSON; add the job with {paperId, arxivUrl}"),
        ("[" * 100_000, "the job's data is not JSON; add the job with {paperId, arxivUrl}"),
        ("[]", "the job's data must be an object {paperId, arxivUrl}, got a list"),
        ("null", "the job's data must be an object {paperId, arxivUrl}, got null"),
        ({"arxivUrl": LINK}, "paperId: missing; add the job with {paperId, arxivUrl}"),
        ({"paperId": True, "arxivUrl": LINK}, "paperId: expected text, got true/false"),
        ({"paperId": "", "arxivUrl": LINK}, "paperId: expected 1 to 200 characters, got 0"),
        ({"paperId": "x" * 201, "arxivUrl": LINK}, "paperId: expected 1 to 200 characters, got 201"),
        ({"paperId": "a\0", "arxivUrl": LINK}, "paperId: expected text without control characters and outer spaces"),
        ({"paperId": "\ud800", "arxivUrl": LINK}, "paperId: expected text without control characters and outer spaces"),
        ({"paperId": "p", "arxivUrl": None}, "arxivUrl: expected text, got null"),
        (
            {"paperId": "p", "arxivUrl": "https://example.com/x"},
            f"arxivUrl: expected a link such as {LINK}, got 'https://example.com/x'",
        ),
        (
            {"paperId": [], "arxivUrl": 5},
            "paperId: expected text, got a list; arxivUrl: expected text, got a number",
        ),
    ],
)
def test_a_wrong_payload_is_explained_field_by_field(data: object, message: str) -> None:
    with pytest.raises(PayloadInvalid) as refusal:
        parse_payload(data if isinstance(data, str) else json.dumps(data))
    assert refusal.value.message == message
