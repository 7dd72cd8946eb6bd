"""The sample papers' data: complete, consistent, and of every kind that the pipelines must handle."""

from __future__ import annotations

import csv
import re
from importlib.resources import files

import pytest

from paperjobs_runner.orcid import is_orcid
from paperjobs_standins.papers import all_papers, invented_papers, sample_papers
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
    for paper in all_papers():
        for affiliation in paper.affiliations:
            for name in (affiliation.name, *affiliation.also):
                assert name in affiliation.line, paper.arxiv_id


def test_no_two_papers_share_all_of_their_layout() -> None:
    assert len({paper.style for paper in all_papers()}) >= 18


def test_an_author_with_an_unknown_affiliation_key_is_refused() -> None:
    with pytest.raises(ValueError, match="no affiliation has the key mars"):
        paper_from({"arxiv_id": "1", "authors": [{"name": "A", "affiliations": ["mars"]}], "affiliations": []})


def test_the_evaluation_set_has_at_least_22_papers_of_which_the_demo_shows_the_real_ones() -> None:
    ids = [paper.arxiv_id for paper in all_papers()]
    assert len(ids) == len(set(ids)) >= 22
    assert not any(paper.invented for paper in sample_papers())
    assert all(paper.invented for paper in invented_papers())


def test_no_address_or_orcid_id_is_a_real_persons() -> None:
    for paper in all_papers():
        for author in paper.authors:
            assert all(mail.endswith(".example") for mail in author.mails), author.name
            # ORCID gives out 0000-0001-5… to 0000-0003-5… and 0009-…; the checksum is right all the same.
            assert not author.orcid or (author.orcid.startswith("0000-0009-") and is_orcid(author.orcid)), author.name


def test_the_true_tags_are_tags_of_the_seeded_vocabulary() -> None:
    text = files("paperjobs_runner.store.migrations").joinpath("vocabulary.csv").read_text(encoding="utf-8")
    known = {row["slug"] for row in csv.DictReader(text.splitlines())}
    for paper in all_papers():
        assert paper.tags, paper.arxiv_id
        assert {*paper.tags, *paper.tags_possible} <= known, paper.arxiv_id


def test_the_parts_of_a_name_make_up_the_name() -> None:
    for paper in all_papers():
        for author in paper.authors:
            assert " ".join(filter(None, (*author.parts, author.suffix))) == author.name
