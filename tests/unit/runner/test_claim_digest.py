"""The name of a run, which operator and runner make on their own, and by which a run knows its claim."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paperjobs.model import Claim, QueueSettings, run_name
from paperjobs_runner.contract import claim_digest

CLAIM = ("bull", "papers", "7", 1, "paperjobs:t")
words = st.text(
    st.characters(exclude_categories=()), max_size=20
)  # lone surrogates included: a job id may hold anything


@given(prefix=words, queue=words, job_id=words, number=st.integers(0, 10**6), token=words)
def test_a_runs_name_ends_with_the_digest_of_its_claim(
    prefix: str, queue: str, job_id: str, number: int, token: str
) -> None:
    settings = QueueSettings(name="q", queue=queue, prefix=prefix, pipeline="institution-extraction", concurrency=1)
    name = run_name(settings, job_id, Claim(number=number, token=token))
    assert name.endswith(f"-{claim_digest(prefix, queue, job_id, number, token)}")


def test_the_digest_never_changes_between_versions() -> None:
    # An operator and a runner image of another version must agree about the claim.
    assert claim_digest(*CLAIM) == "bc179043ad74"


@pytest.mark.parametrize(
    "other",
    [
        ("other", "papers", "7", 1, "paperjobs:t"),
        ("bull", "other", "7", 1, "paperjobs:t"),
        ("bull", "papers", "8", 1, "paperjobs:t"),
        ("bull", "papers", "7", 2, "paperjobs:t"),
        ("bull", "papers", "7", 1, "paperjobs:u"),
        ("bull", "papers7", "", 1, "paperjobs:t"),  # the same letters, parted elsewhere
    ],
)
def test_claims_that_differ_in_anything_have_other_digests(other: tuple[str, str, str, int, str]) -> None:
    assert claim_digest(*other) != claim_digest(*CLAIM)
