"""arXiv's protocol: feeds, errors, redirects, PDFs."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import httpx2
import pytest
from defusedxml.ElementTree import fromstring

from paperjobs_standins.papers import pdf_of, sample_papers
from paperjobs_standins.server import Standins

ATOM = {"a": "http://www.w3.org/2005/Atom", "x": "http://arxiv.org/schemas/atom"}


def feed(standins: Standins, **parameters: str) -> list[Element]:
    answer = httpx2.get(f"{standins.arxiv.url}/api/query", params=parameters)
    assert answer.headers["content-type"].startswith("application/atom+xml")
    found: list[Element] = fromstring(answer.text).findall("a:entry", ATOM)
    return found


def test_a_feed_tells_all_metadata_of_the_latest_version(standins: Standins) -> None:
    (entry,) = feed(standins, id_list="hep-th/9711200")
    assert entry.findtext("a:id", namespaces=ATOM) == "http://arxiv.org/abs/hep-th/9711200v3"
    assert [one.text for one in entry.findall("a:author/a:name", ATOM)] == ["Juan M. Maldacena"]
    assert entry.findtext("x:doi", namespaces=ATOM) == "10.1023/A:1026654312961"
    assert [one.get("term") for one in entry.findall("a:category", ATOM)] == ["hep-th"]
    assert entry.findtext("a:published", namespaces=ATOM) == "1997-11-27T23:54:13Z"


def test_a_named_version_is_that_version(standins: Standins) -> None:
    (entry,) = feed(standins, id_list="1706.03762v1")
    assert entry.findtext("a:id", namespaces=ATOM) == "http://arxiv.org/abs/1706.03762v1"
    assert entry.findtext("a:updated", namespaces=ATOM) == entry.findtext("a:published", namespaces=ATOM)


def test_several_ids_are_answered_in_pages(standins: Standins) -> None:
    ids = ",".join(paper.arxiv_id for paper in sample_papers())
    assert len(feed(standins, id_list=ids)) == 10
    assert len(feed(standins, id_list=ids, max_results="100")) == len(sample_papers())
    assert len(feed(standins, id_list=ids, start="10")) == len(sample_papers()) - 10


@pytest.mark.parametrize("unknown", ["2401.00001", "1706.03762v99", "math/0000001"])
def test_an_unknown_paper_is_an_empty_feed_that_still_counts_one(standins: Standins, unknown: str) -> None:
    answer = httpx2.get(f"{standins.arxiv.url}/api/query", params={"id_list": unknown})
    assert answer.status_code == 200
    assert "<entry>" not in answer.text
    assert "totalResults>1<" in answer.text


@pytest.mark.parametrize("malformed", ["not-a-paper", "1706.3", "hep-th/12", "1706.03762v"])
def test_a_malformed_id_is_an_error_entry(standins: Standins, malformed: str) -> None:
    answer = httpx2.get(f"{standins.arxiv.url}/api/query", params={"id_list": malformed})
    assert answer.status_code == 400
    (entry,) = fromstring(answer.text).findall("a:entry", ATOM)
    assert (entry.findtext("a:id", namespaces=ATOM) or "").startswith("http://arxiv.org/api/errors#")
    assert entry.findtext("a:title", namespaces=ATOM) == "Error"


def test_the_pdf_is_served_under_its_canonical_address(standins: Standins) -> None:
    answer = httpx2.get(f"{standins.arxiv.url}/pdf/math/0211159v1")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    assert answer.content == next(pdf_of(one) for one in sample_papers() if one.arxiv_id == "math/0211159")


@pytest.mark.parametrize("path", ["/pdf/1706.03762v7.pdf", "/pdf/1706.03762v7?download=1"])
def test_other_spellings_of_the_pdf_address_redirect_to_it(standins: Standins, path: str) -> None:
    answer = httpx2.get(standins.arxiv.url + path)
    assert (answer.status_code, answer.headers["location"]) == (301, f"{standins.arxiv.url}/pdf/1706.03762v7")


@pytest.mark.parametrize("path", ["/pdf/2401.00001", "/pdf/1706.03762v8", "/pdf/nonsense", "/list/cs"])
def test_a_pdf_that_does_not_exist_is_an_html_404(standins: Standins, path: str) -> None:
    answer = httpx2.get(standins.arxiv.url + path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
