"""The sample papers' data: complete, consistent, and of every kind that the pipelines must handle."""

from __future__ import annotations

import re

import pytest

from paperjobs_standins.papers import sample_papers
from paperjobs_standins.papers.shelf import paper_from


def test_there_are_a_dozen_papers_with_old_and_new_ids() -> None:
    ids = [paper.arxiv_id for paper in sample_papers()]
    assert len(ids) == len(set(ids)) >= 12
    assert any(re.fullmatch(r"[a-z-]+/\d{7}", one) for one in ids)
    assert any(re.fullmatch(r"\d{4}\.\d{4}", one) for one in ids)
    assert any(re.fullmatch(r"\d{4}\.\d{5}", one) for one in ids)


def test_every_paper_has_authors_institutions_and_an_abs_page() -> None:
    for paper in sample_papers():
        assert paper.abs_url == f"https://arxiv.org/abs/{paper.arxiv_id}"
        assert paper.links, paper.arxiv_id
        assert paper.listed, paper.arxiv_id
        assert paper.published <= paper.updated
        assert paper.primary_category == paper.categories[0]


def test_institution_names_stand_in_the_lines_that_are_printed() -> None:
    for paper in sample_papers():
        for affiliation in paper.affiliations:
            for name in (affiliation.name, *affiliation.also):
                assert name in affiliation.line, paper.arxiv_id


def test_no_two_papers_share_all_of_their_layout() -> None:
    assert len({paper.style for paper in sample_papers()}) >= 10


def test_an_author_with_an_unknown_affiliation_key_is_refused() -> None:
    with pytest.raises(ValueError, match="no affiliation has the key mars"):
        paper_from({"arxiv_id": "1", "authors": [{"name": "A", "affiliations": ["mars"]}], "affiliations": []})
