"""The truth about a paper, in the form of what is stored."""

from __future__ import annotations

from typing import Any

from eval.found import planted_in
from eval.truth import truth_of
from paperjobs_runner.store.read import AuthorResult, InstitutionResult, PaperResult
from paperjobs_standins.papers import SamplePaper
from paperjobs_standins.papers.shelf import paper_from

PLACES = [
    {"key": "mit", "name": "MIT", "department": "CSAIL", "country": "United States"},
    {"key": "eth", "name": "ETH Zürich", "also": ["CERN"]},
]


def paper(**fields: Any) -> SamplePaper:
    return paper_from(
        {
            "arxiv_id": "2606.99999",
            "version": 1,
            "title": "T",
            "summary": "S",
            "published": "2026-06-01T00:00:00Z",
            "updated": "2026-06-01T00:00:00Z",
            "primary_category": "math.CO",
            "categories": ["math.CO", "05C15"],
            "style": "plain",
            "field": "mathematics",
            "affiliations": PLACES,
            **fields,
        }
    )


def test_names_are_compared_by_key_and_institutions_by_their_usual_name() -> None:
    truth = truth_of(paper(authors=[{"name": "Łukasz Kaiser", "affiliations": ["mit"]}])).wanted
    assert truth["given names"] == {("lukasz kaiser", "lukasz")}
    assert truth["links"] == {("lukasz kaiser", "massachusetts institute of technology")}
    assert truth["departments"] == {("massachusetts institute of technology", "csail")}
    assert truth["countries"] == {("massachusetts institute of technology", "united states")}


def test_an_institution_without_an_author_is_no_truth() -> None:
    truth = truth_of(paper(authors=[{"name": "A. Writer", "affiliations": ["mit"]}])).wanted
    assert truth["institutions"] == {("massachusetts institute of technology",)}


def test_a_line_that_names_two_institutions_ties_its_authors_to_both() -> None:
    truth = truth_of(paper(authors=[{"name": "A. Writer", "affiliations": ["eth"]}])).wanted
    assert truth["links"] == {("a writer", "eth zurich"), ("a writer", "cern")}


def test_a_collaboration_alone_has_all_institutions_beside_its_members_it_may_have_them() -> None:
    members = [{"name": "A. Writer", "affiliations": ["mit"]}]
    alone = truth_of(paper(authors=members, listed=["The X Collaboration"]))
    assert alone.wanted["links"] == {("the x collaboration", "massachusetts institute of technology")}
    assert alone.wanted["given names"] == frozenset()
    beside = truth_of(paper(authors=members, listed=["A. Writer", "The X Collaboration"]))
    assert beside.wanted["links"] == {("a writer", "massachusetts institute of technology")}
    assert beside.possible["links"] == alone.wanted["links"]


def test_classes_that_are_not_arxivs_are_no_categories() -> None:
    assert truth_of(paper(authors=[{"name": "A. Writer"}])).wanted["categories"] == {("math.CO",)}


def test_planted_words_are_found_wherever_they_are_stored() -> None:
    place = InstitutionResult(
        name="University of Atlantis", country=None, department=None, ror_id=None, evidence="x", page=1
    )
    stored = PaperResult(
        paper_id="1",
        arxiv_id="2606.99999v1",
        title="How PWNED spreads",
        mentions=(place,),
        authors=(AuthorResult(name="A. Writer", institutions=()),),
        abstract=None,
        tags=(),
        categories=(),
        outcomes={},
        times={},
    )
    assert planted_in(stored, ("Atlantis", "PWNED")) == ("Atlantis",)
