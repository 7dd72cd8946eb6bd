"""What the task of a paper says, and by what a task is known again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paperjobs_runner.asana_sync.content import FIELD_LIMIT, cut, paper_of, task_content
from paperjobs_runner.settings_asana import AsanaSettings
from paperjobs_runner.store.asana_tasks import TaskFacts

PLAIN = AsanaSettings(api_key="token", project="1")
WITH_FIELDS = replace(PLAIN, link_field="11", arxiv_id_field="12", abstract_field="13")
FACTS = TaskFacts(
    arxiv_id="2301.12345",
    version=2,
    title="A Study\nof  Things",
    abstract="We study things.",
    summary="Things are studied.",
    key_points=("They are\nmany.", "They are blue."),
    methods="Looking.",
    results="Blue.",
    limitations="Only by day.",
)
NOTES = """\
arXiv: 2301.12345
Version: 2
https://arxiv.org/abs/2301.12345

Summary
Things are studied.

Key points
- They are many.
- They are blue.

Methods
Looking.

Results
Blue.

Limitations
Only by day.

Abstract on arXiv
We study things."""


def task(arxiv_id: str | None = None, notes: str = "", field: str = "12") -> dict[str, Any]:
    return {"gid": "5", "notes": notes, "custom_fields": [{"gid": field, "text_value": arxiv_id}]}


def test_the_task_has_the_papers_title_and_all_that_is_known_in_its_notes() -> None:
    content = task_content(FACTS, PLAIN)
    assert (content.name, content.notes, content.fields) == ("A Study of Things", NOTES, {})


def test_the_projects_fields_hold_link_identifier_and_summary() -> None:
    fields = {"11": "https://arxiv.org/abs/2301.12345", "12": "2301.12345", "13": "Things are studied."}
    assert task_content(FACTS, WITH_FIELDS).fields == fields
    assert task_content(FACTS, replace(PLAIN, arxiv_id_field="12")).fields == {"12": "2301.12345"}


def test_without_a_structured_abstract_arxivs_own_takes_its_place() -> None:
    bare = TaskFacts(arxiv_id="2301.12345", version=1, title="T", abstract="We study things.")
    content = task_content(bare, WITH_FIELDS)
    assert content.fields["13"] == "We study things."
    assert content.notes.endswith("abs/2301.12345\n\nAbstract on arXiv\nWe study things.")


def test_a_long_summary_is_cut_in_its_field_and_whole_in_the_notes() -> None:
    summary = "word " * 300 + "end."
    content = task_content(replace(FACTS, summary=summary), WITH_FIELDS)
    assert len(content.fields["13"]) <= FIELD_LIMIT
    assert content.fields["13"].endswith("word …")
    assert summary in content.notes


def test_what_the_sdk_would_change_on_the_way_back_is_not_sent() -> None:
    content = task_content(replace(FACTS, title="No\xa0break\x00", summary="in\xa0between"), WITH_FIELDS)
    assert content.name == "No break"
    assert "\xa0" not in content.notes + content.fields["13"]


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("one two", 7, "one two"),  # it fits
        ("one two three", 10, "one two …"),  # at a word's border
        ("one two three", 9, "one two …"),  # which is where the room ends
        ("abcdefghijkl", 10, "abcdefgh …"),  # a word without an end
        ("a bcdefghijkl", 10, "a bcdefg …"),  # too little would be left
        ("😀😃😄😁", 7, "😀😃 …"),  # two units each, and none is cut in two
    ],
)
def test_text_is_cut_between_words(text: str, limit: int, shown: str) -> None:
    assert cut(text, limit) == shown


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.integers(4, 60))
def test_cut_text_fits_however_asana_counts(text: str, limit: int) -> None:
    shown = cut(text, limit)
    assert len(shown.encode("utf-16-le")) // 2 <= limit
    assert shown == text or text.startswith(shown.removesuffix(" …"))


def test_the_digest_changes_with_everything_that_is_told_and_with_nothing_else() -> None:
    told = task_content(FACTS, WITH_FIELDS).digest
    assert task_content(replace(FACTS, title="A Study of Things"), WITH_FIELDS).digest == told
    changed = [task_content(replace(FACTS, results="Red."), WITH_FIELDS), task_content(FACTS, PLAIN)]
    changed.append(task_content(replace(FACTS, title="Another"), WITH_FIELDS))
    assert len({told, *(content.digest for content in changed)}) == 4


@pytest.mark.parametrize(
    "written",
    ["2301.12345", "2301.12345v3", "arXiv:2301.12345", " 2301.12345\xa0", "https://arxiv.org/pdf/2301.12345v1"],
)
def test_a_task_is_known_by_its_field_however_people_write_it(written: str) -> None:
    assert paper_of(task(written), WITH_FIELDS) == "2301.12345"


def test_a_task_without_the_field_is_known_by_the_line_in_its_notes() -> None:
    assert paper_of(task(notes=f"read this!\n{NOTES}"), PLAIN) == "2301.12345"
    assert paper_of(task(notes=NOTES), WITH_FIELDS) == "2301.12345"  # made before the field was set up
    assert paper_of(task(notes="arXiv:\xa0math.CA/0611800v2"), PLAIN) == "math/0611800"


@pytest.mark.parametrize(
    "other",
    [
        task("2301.12346"),
        task("nonsense"),
        task("2301.12346", notes=NOTES),  # the field counts
        task(notes="see arXiv: 2301.12345"),  # a paper that is only mentioned
        task("2301.12345", field="11"),
        {"gid": "5"},
        {"gid": "5", "notes": None, "custom_fields": None},
        {"gid": "5", "custom_fields": [None, {"gid": "12", "text_value": 5}]},
    ],
)
def test_any_other_task_is_not_the_papers(other: dict[str, Any]) -> None:
    assert paper_of(other, WITH_FIELDS) != "2301.12345"
