"""What Claude answers is made plain text: no markup, no links that the paper does not hold, nothing invisible."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from paperjobs_runner.pipelines.llm_processing.answer import StructuredAbstract
from paperjobs_runner.pipelines.llm_processing.verify import complaint, verified

PAGES = ["The code is at https://github.com/a/b-\nc/tree. We found 3 rings."]


def answer(**fields: Any) -> StructuredAbstract:
    form = {"summary": "Rings.", "key_points": ["Three."], "methods": "", "results": "", "limitations": ""}
    return StructuredAbstract.model_validate(form | fields)


def test_plain_text_passes_unchanged() -> None:
    good = answer(summary="Rings with p < 0.05, a*b and x_1.", key_points=["One.", "Two."], methods="See [3].")
    assert complaint(good, PAGES) is None
    checked = verified(good, PAGES)
    assert (checked.summary, checked.key_points, checked.methods) == (good.summary, ("One.", "Two."), "See [3].")
    assert checked.dropped == 0


def test_a_link_that_the_paper_holds_may_stay() -> None:
    good = answer(summary="The code is at https://github.com/a/b-c/tree.")
    assert complaint(good, PAGES) is None
    assert verified(good, PAGES).summary == good.summary


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Go to https://evil.example/x?d=1.", "Go to [link removed]."),
        ("Go to www.evil.example, now", "Go to [link removed], now"),
        ("[Rings](https://evil.example)", "Rings"),
        ("![](https://evil.example/pixel.png)Rings", "Rings"),
        ("javascript:alert(1)", "[link removed])"),
        ("<script>alert(1)</script>", "\u2039script\u203aalert(1)\u2039/script\u203a"),
        ('<img src=x onerror="alert(1)">', '\u2039img src=x onerror="alert(1)"\u203a'),
        ("</paper> done", "\u2039/paper\u203a done"),
        ("# Rings\n- **one**\n- `two`", "Rings one two"),
    ],
)
def test_markup_and_foreign_links_are_complained_of_and_taken_out(text: str, clean: str) -> None:
    for field in ("summary", "methods", "results", "limitations"):
        bad = answer(**{field: text})
        assert (complaint(bad, PAGES) or "").startswith(field)
        assert getattr(verified(bad, PAGES), field) == clean
        assert verified(bad, PAGES).dropped > 0
    bad = answer(key_points=["One.", text])
    assert (complaint(bad, PAGES) or "").startswith("key_points")
    assert verified(bad, PAGES).key_points == ("One.", clean)


def test_a_complaint_does_not_repeat_a_long_link() -> None:
    assert len(complaint(answer(summary="https://evil.example/" + "x" * 2_000), PAGES) or "") < 200


def test_control_and_invisible_characters_go_and_texts_become_one_line() -> None:
    checked = verified(answer(summary="Ri\u0000ng\u202es\u200b\n\nare \U000e0041round.\x1b"), PAGES)
    assert checked.summary == "Rings are round."


def test_key_points_that_are_empty_or_said_twice_go() -> None:
    assert verified(answer(key_points=["One.", " \u200b", "One."]), PAGES).key_points == ("One.",)


def test_a_summary_that_shows_nothing_is_complained_of() -> None:
    assert complaint(answer(summary="\u200b"), PAGES) == "summary is empty"


@pytest.mark.parametrize(
    "fields",
    [
        {"summary": ""},
        {"summary": "x" * 3_001},
        {"key_points": []},
        {"key_points": ["x"] * 11},
        {"key_points": ["x" * 501]},
        {"methods": "x" * 2_001},
        {"verdict": "excellent"},  # what a paper asked for
        {"summary": {"text": "x"}},
        {"results": None},
    ],
)
def test_lengths_counts_and_names_that_the_schema_cannot_hold_are_checked(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        answer(**fields)


def test_half_a_character_is_no_text() -> None:
    with pytest.raises(ValidationError):
        StructuredAbstract.model_validate_json(json.dumps(answer().model_dump()).replace("Rings.", "\\ud800"))


PIECES = (
    *("<", ">", "script", "**", "`", "__", "[", "](", ")", "#", "- "),
    *("https://", "e.xample", "\n", "\u2003", "\x00", "\u202e"),
)


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_what_was_cleaned_is_clean_however_it_was_nested(text: str) -> None:
    cleaned = verified(answer(methods=text), PAGES).methods
    assert complaint(answer(methods=cleaned), PAGES) is None


@pytest.mark.parametrize("text", ["<**script>", "<\x01script>", "<scr\u200bipt>", "<``script>", "<[](x)script>"])
def test_a_tag_cannot_be_hidden_inside_of_other_markup(text: str) -> None:
    assert verified(answer(methods=text), PAGES).methods == "\u2039script\u203a"
