"""Sections are found by the headings that papers print."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paperjobs_runner.pipelines.llm_processing.sections import Kind, Section, sections_of

TEXT = "Some sentence of the section. Another one, so that it has a certain length."


def outline(*lines: str) -> list[tuple[str, str]]:
    """Headings and kinds of a paper whose lines are these, with text after each."""
    page = "\n".join(f"{line}\n{TEXT}" for line in lines)
    return [(section.heading, section.kind.name) for section in sections_of([page])]


def test_a_paper_of_the_usual_form_is_cut_at_its_headings() -> None:
    assert outline("A Title", "Abstract", "1 Introduction", "2 The Flow", "3 Experiments", "Acknowledgements") == [
        ("", "FRONT"),
        ("Abstract", "ABSTRACT"),
        ("1 Introduction", "INTRODUCTION"),
        ("2 The Flow", "BODY"),
        ("3 Experiments", "RESULTS"),
        ("Acknowledgements", "ASIDE"),
    ]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("ABSTRACT", Kind.ABSTRACT),
        ("I. INTRODUCTION", Kind.INTRODUCTION),
        ("1. Introduction", Kind.INTRODUCTION),
        ("1 I NTRODUCTION", Kind.INTRODUCTION),  # small capitals, as pypdf reads them
        ("Materials and Methods", Kind.METHODS),
        ("Results and Discussion", Kind.RESULTS),
        ("Discussion and Conclusions", Kind.CONCLUSION),
        ("Limitations", Kind.CONCLUSION),
        ("Related Work", Kind.BACKGROUND),
        ("REFERENCES", Kind.ASIDE),
        ("Acknowledgments", Kind.ASIDE),
        ("Data availability", Kind.ASIDE),
        ("Appendix A: Proofs", Kind.APPENDIX),
        ("Supplementary Material", Kind.APPENDIX),
    ],
)
def test_titles_that_nearly_every_paper_uses_are_known(line: str, kind: Kind) -> None:
    long = "\n".join([TEXT] * 5)
    assert [one.kind for one in sections_of([f"{long}\n{line}\n{TEXT}"])] == [Kind.FRONT, kind]


def test_an_abstract_in_the_line_of_its_heading_keeps_its_text() -> None:
    (_, section) = sections_of([f"A Title\nAbstract\u2014We prove it.\n{TEXT}"])
    assert section == Section(heading="Abstract", kind=Kind.ABSTRACT, text=f"We prove it.\n{TEXT}")


def test_numbers_have_to_follow_each_other_and_subsections_stay_inside() -> None:
    found = outline("1 Introduction", "2 Our Flow", "2.1 Its Start", "7 Wrong Number", "3 Its End")
    assert [heading for heading, _ in found] == ["1 Introduction", "2 Our Flow", "3 Its End"]


@pytest.mark.parametrize(
    "line",
    [
        "2 We measure it on tasks of different size",  # an item of a list
        "2 The Flow of the Whole 17",  # a table of contents
        "2 the flow goes on",
        "2 University of Oxford, UK,",
        "2 A line of text that goes on and on and is no title at all, surely",
        "the results",
    ],
)
def test_what_only_looks_like_a_heading_is_text(line: str) -> None:
    assert outline("1 Introduction", line) == [("1 Introduction", "INTRODUCTION")]


def test_the_heads_of_tables_are_no_sections_where_sections_have_numbers() -> None:
    found = outline("1 Introduction", "Model", "Data", "2 Results", "Limitations", "References")
    assert [heading for heading, _ in found] == ["1 Introduction", "2 Results", "Limitations", "References"]
    assert [heading for heading, _ in outline("Introduction", "Methods", "Results")] == [
        "Introduction",
        "Methods",
        "Results",
    ]


def test_numbered_affiliations_before_the_abstract_are_no_sections() -> None:
    assert [heading for heading, _ in outline("1 ETH Zurich", "2 University of Oxford", "Abstract")] == ["", "Abstract"]


def test_lettered_sections_are_appendices_once_the_references_were_seen() -> None:
    found = outline(
        "1 Introduction", "A Word on Notation", "References", "A The Collaboration", "B Results", "C Proofs"
    )
    assert found == [
        ("1 Introduction", "INTRODUCTION"),
        ("References", "ASIDE"),
        ("A The Collaboration", "APPENDIX"),
        ("B Results", "APPENDIX"),
        ("C Proofs", "APPENDIX"),
    ]


def test_a_text_without_headings_has_its_pages_for_sections() -> None:
    assert [(one.heading, one.text) for one in sections_of(["one", "", "three"])] == [
        ("page 1", "one"),
        ("page 3", "three"),
    ]


def test_references_that_hold_more_than_half_of_the_text_were_misread() -> None:
    found = sections_of([f"Abstract\n{TEXT}\nReferences\n" + "\n".join([TEXT] * 9)])
    assert [one.kind for one in found] == [Kind.ABSTRACT, Kind.BODY]


def test_no_text_gets_lost() -> None:
    pages = [f"Title\nAbstract. Short.\n1 Introduction\n{TEXT}", f"more of it\nReferences\n[1] {TEXT}"]
    text = " ".join(f"{one.heading} {one.text}" for one in sections_of(pages))
    assert sorted(text.replace(".", "").split()) == sorted(" ".join(pages).replace(".", "").split())


def test_an_empty_paper_has_no_sections() -> None:
    assert sections_of([]) == sections_of(["", "\n"]) == ()


PIECES = (
    "Abstract",
    "References",
    "A Proofs",
    "B ",
    "1 Introduction",
    "2 ",
    "3.",
    "Words of text",
    "\n",
    " ",
    "\u2014",
    "7",
)


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), max_size=5))
def test_any_text_has_sections_that_hold_all_of_it(pages: list[str]) -> None:
    pages = ["Abstract", *pages]
    assert letters("".join(f"{one.heading}{one.text}" for one in sections_of(pages))) == letters("".join(pages))


def letters(text: str) -> str:
    """What must not get lost."""
    return "".join(char for char in text if char.isalnum())


def test_a_text_that_is_made_to_be_slow_is_not() -> None:
    pages = ["A" * 200_000, "1 " * 100_000, "\n".join(["Appendix " + "x " * 30] * 20_000), "Abstract" + "-" * 200_000]
    begun = time.process_time()
    sections_of(pages)
    assert time.process_time() - begun < 5
