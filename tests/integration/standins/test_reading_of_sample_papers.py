"""How much of the truth the rules read out of the typeset samples, from both kinds of extracted text."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pypdf
import pytest

from paperjobs_standins.papers import SamplePaper, invented_papers, pdf_of, sample_papers
from paperjobs_standins.papers.typeset import typeset
from paperjobs_standins.pdf_elements import structured_data
from paperjobs_standins.reading.author_block import read_author_block
from paperjobs_standins.reading.prompt import manuscript_in

NO_AUTHORS_INSTITUTION = {"University of Edinburgh", "Weizmann Institute of Science", "Kyoto University"}
"""Named in the samples' acknowledgements only."""


def pypdf_pages(pdf: bytes) -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]


def adobe_pages(pdf: bytes) -> list[str]:
    pages: dict[int, list[str]] = {}
    for element in json.loads(structured_data(pdf))["elements"]:
        pages.setdefault(element["Page"], []).append(element["Text"].strip())
    return ["\n".join(pages[number]) for number in sorted(pages)]


def found_links(paper: SamplePaper, pages: list[str]) -> set[tuple[str, str]]:
    text = "\n".join(f'<page number="{number}">\n{page}\n</page>' for number, page in enumerate(pages, 1))
    names = "\n".join(paper.listed)
    block = read_author_block(manuscript_in(f"<authors>\n{names}\n</authors>\n<paper>\n{text}\n</paper>"))
    return {(link.author, link.institution.name) for link in block.links}


@pytest.mark.parametrize("extract", [pypdf_pages, adobe_pages])
def test_most_authors_are_tied_to_their_true_institutions(
    extract: Callable[[bytes], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    right = given = true = 0
    lines = [f"\nreading the samples from {extract.__name__}:"]
    for paper in sample_papers():
        links = found_links(paper, extract(pdf_of(paper)))
        hits = len(links & paper.links)
        right, given, true = right + hits, given + len(links), true + len(paper.links)
        lines.append(f"  {paper.arxiv_id:18} {paper.style:24} {hits} right of {len(links)}, true {len(paper.links)}")
        assert hits * 2 >= len(paper.links), f"less than half of {paper.arxiv_id} was read"
        assert not {name for _, name in links} & NO_AUTHORS_INSTITUTION
    with capsys.disabled():
        print("\n".join(lines), f"\n  precision {right / given:.2f}, recall {right / true:.2f}")
    assert right / given >= 0.9
    assert right / true >= 0.9


def test_without_its_author_page_a_collaborations_members_are_not_known() -> None:
    paper = next(one for one in sample_papers() if one.arxiv_id == "1207.7214")
    assert found_links(paper, pypdf_pages(pdf_of(paper))[:1]) == set()


def test_samples_have_two_or_three_pages_of_text_and_say_that_they_are_not_the_paper() -> None:
    for paper in sample_papers():
        pages = pypdf_pages(pdf_of(paper))
        assert 2 <= len(pages) <= 3, paper.arxiv_id
        assert all(author.line.split()[-1] in "".join(pages) for author in paper.authors)
        assert "Sample typeset by the PaperJobs project" in "".join(pages)


def test_one_invented_paper_is_long_and_all_say_that_they_do_not_exist() -> None:
    lengths = []
    for paper in invented_papers():
        pages = pypdf_pages(pdf_of(paper))
        lengths.append(len(pages))
        assert "Neither the paper nor its authors exist" in " ".join("".join(pages).split()), paper.arxiv_id
    assert max(lengths) >= 40
    assert sorted(lengths)[-2] <= 4


def test_the_same_paper_typesets_to_the_same_bytes() -> None:
    paper = sample_papers()[0]
    assert typeset(paper) == typeset(paper) == pdf_of(paper)


def test_pdfs_are_kept_outside_the_tree_and_found_again(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    paper = sample_papers()[0]
    first = pdf_of(paper)
    (kept,) = (folder / "paperjobs" / "papers").iterdir()
    assert kept.read_bytes() == first
    kept.write_bytes(b"from the cache")
    assert pdf_of(paper) == b"from the cache"


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")
    assert pdf_of(sample_papers()[0]).startswith(b"%PDF-")
