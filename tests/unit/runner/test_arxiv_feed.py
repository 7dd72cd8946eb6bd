"""arXiv's Atom answers."""

from datetime import UTC, datetime

import pytest

from paperjobs_runner.arxiv_id import ArxivId
from paperjobs_runner.errors import PaperUnknown, ServiceFailed
from paperjobs_runner.services.arxiv_feed import read_feed

WANTED = ArxivId(base="2301.12345")


def feed(*entries: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom" '
        f'xmlns:arxiv="http://arxiv.org/schemas/atom">{"".join(entries)}</feed>'
    ).encode()


def entry(paper: str = "2301.12345v2", comment: str = "12 pages", summary: str = "We study things.") -> str:
    return (
        f"<entry><id>http://arxiv.org/abs/{paper}</id><title>A  Title\n  on two lines</title>"
        f"<published>2023-01-29T10:00:00Z</published><updated>2023-02-01T10:00:00Z</updated>"
        f"<summary>{summary}</summary><author><name>Ana Šimić</name></author><author><name>Bo Li</name></author>"
        f"<arxiv:comment>{comment}</arxiv:comment><arxiv:primary_category term='cs.LG'/></entry>"
    )


def test_an_entry_is_read_with_the_version_it_names() -> None:
    paper = read_feed(feed(entry("9999.00001v1"), entry()), WANTED)  # entries come in no promised order
    assert paper is not None
    assert paper.id == ArxivId(base="2301.12345", version=2)
    assert paper.title == "A Title on two lines"
    assert paper.authors == ("Ana Šimić", "Bo Li")
    assert paper.primary_category == "cs.LG"
    assert paper.updated == datetime(2023, 2, 1, 10, tzinfo=UTC)
    assert not paper.withdrawn


def test_a_feed_without_the_paper_or_with_another_version_is_no_answer() -> None:
    assert read_feed(feed(), WANTED) is None
    assert read_feed(feed("<entry><title>x</title></entry>"), WANTED) is None
    assert read_feed(feed(entry()), WANTED.at(1)) is None


def test_an_error_entry_is_passed_on_in_arxivs_words() -> None:
    error = (
        "<entry><id>http://arxiv.org/api/errors#incorrect_id_format</id><summary>incorrect id format</summary></entry>"
    )
    with pytest.raises(PaperUnknown, match="incorrect id format"):
        read_feed(feed(error), WANTED)
    with pytest.raises(ServiceFailed, match="max_results too large"):
        read_feed(feed(error.replace("incorrect id format", "max_results too large")), WANTED)


@pytest.mark.parametrize(
    ("comment", "summary"),
    [
        ("This paper has been Withdrawn by the authors", "We study things."),
        ("", "This paper has been withdrawn due to an error"),
    ],
)
def test_a_withdrawal_is_read_from_comment_or_abstract(comment: str, summary: str) -> None:
    paper = read_feed(feed(entry(comment=comment, summary=summary)), WANTED)
    assert paper is not None
    assert paper.withdrawn


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Rate exceeded</body></html>",
        b"\x00\xff",
        b"<feed xmlns='http://www.w3.org/2005/Atom'><entry>",
        b'<!DOCTYPE f [<!ENTITY a "aaaa">]><feed xmlns="http://www.w3.org/2005/Atom">&a;</feed>',  # entity bomb
    ],
)
def test_anything_that_is_not_a_feed_is_a_failure_of_the_service(body: bytes) -> None:
    with pytest.raises(ServiceFailed):
        read_feed(body, WANTED)
