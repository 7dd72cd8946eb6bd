"""Durations, instants and untrusted text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paperjobs.kube.duration import format_duration, parse_duration
from paperjobs.kube.text import bounded_id, shown
from paperjobs.kube.timestamps import from_text, time_of_day, to_text


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("500ms", 500), ("60s", 60_000), ("1m", 60_000), ("1h30m", 5_400_000), ("1m500ms", 60_500), ("0s", 0)],
)
def test_durations_are_read(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize("text", ["", "60", "s", "1.5s", "-1s", "1d", " 1s", "1s ", "1s\n"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="it must be a duration such as 500ms, 60s, 1m or 1h30m"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**10))
def test_a_written_duration_reads_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds)) == milliseconds


@given(st.integers(min_value=0, max_value=4 * 10**12))
def test_an_instant_reads_back(milliseconds: int) -> None:
    assert from_text(to_text(milliseconds)) == milliseconds


def test_instants_are_read_as_kubernetes_writes_them() -> None:
    assert from_text("2026-11-23T18:45:12Z") == 1_795_459_512_000
    assert from_text("2026-11-23T18:45:12.123456Z") == 1_795_459_512_123
    assert [from_text(wrong) for wrong in (None, "", "soon", 7)] == [None] * 4
    assert time_of_day(1_795_459_512_999) == "18:45:12Z"


@given(st.text(max_size=300), st.integers(min_value=1, max_value=100))
def test_shown_text_is_bounded_and_obeyed_by_no_terminal(text: str, limit: int) -> None:
    result = shown(text, limit)
    assert len(result) <= limit
    assert not any(letter in result for letter in "\x1b\n\r\t\x00\x7f\u202e\u2028")


def test_a_cut_is_marked_and_what_fits_is_not_touched() -> None:
    assert shown("abcdef", 4) == "abc…"
    assert shown("Universität Zürich", 100) == "Universität Zürich"
    assert bounded_id("x" * 512) == "x" * 512
    assert bounded_id("x" * 513) == "x" * 511 + "…"
