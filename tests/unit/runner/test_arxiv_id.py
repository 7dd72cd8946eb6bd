"""Which links name a paper on arXiv, and which only look as if they did."""

from string import ascii_lowercase, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paperjobs_runner.arxiv_id import ArxivId, ArxivIdError, parse_arxiv_id, parse_arxiv_link


@pytest.mark.parametrize(
    ("link", "base", "version"),
    [
        ("2301.12345", "2301.12345", None),
        ("0704.0001", "0704.0001", None),  # first month of the new style
        ("1412.9999", "1412.9999", None),  # last month with four digits
        ("1501.00001", "1501.00001", None),  # first month with five
        ("arXiv:2301.12345v2", "2301.12345", 2),
        ("ARXIV: 2301.12345V12", "2301.12345", 12),
        ("hep-th/9901001", "hep-th/9901001", None),
        ("math.CA/0611800v3", "math/0611800", 3),  # the subject class is not part of the identifier
        ("cond-mat/9107001", "cond-mat/9107001", None),
        ("https://arxiv.org/abs/2301.12345", "2301.12345", None),
        ("http://arxiv.org/abs/2301.12345v1", "2301.12345", 1),
        ("HTTPS://ArXiv.org/abs/2301.12345", "2301.12345", None),
        ("arxiv.org/abs/2301.12345", "2301.12345", None),  # copied without scheme
        ("  https://www.arxiv.org/pdf/2301.12345v2.pdf\n", "2301.12345", 2),
        ("https://export.arxiv.org/e-print/2301.12345", "2301.12345", None),
        ("https://arxiv.org/html/2301.12345v1/", "2301.12345", 1),
        ("https://arxiv.org/abs/math%2F0611800", "math/0611800", None),
        ("https://arxiv.org/pdf/hep-th/9901001v1.pdf#page=3", "hep-th/9901001", 1),
        ("https://arxiv.org/abs/2301.12345?context=cs.LG", "2301.12345", None),
        ("cond-mat.mes-hall/9901001", "cond-mat/9901001", None),  # subject classes of physics have names
        ("https://arxiv.org/abs/physics.acc-ph/0301001v2", "physics/0301001", 2),
        ("https://arxiv.org/src/2301.12345v1", "2301.12345", 1),
        ("https://arxiv.org/format/2301.12345", "2301.12345", None),
        ("https://arxiv.org/ps/hep-th/9901001", "hep-th/9901001", None),
        ("https://arxiv.org/abs/arXiv:2301.12345", "2301.12345", None),
        ("http://export.arxiv.org/abs/2301.12345v3", "2301.12345", 3),
        ("https://de.arxiv.org/pdf/2301.12345", "2301.12345", None),
        ("https://xxx.lanl.gov/abs/hep-th/9901001", "hep-th/9901001", None),
        ("https://dx.doi.org/10.48550/ARXIV.2301.12345", "2301.12345", None),
        ("https://doi.org/10.48550/arXiv.hep-th/9901001", "hep-th/9901001", None),
        ("doi:10.48550/arXiv.2301.12345v2", "2301.12345", 2),
        ("10.48550/arXiv.2301.12345", "2301.12345", None),
        ("https://alphaxiv.org/abs/2301.12345", "2301.12345", None),
        ("https://www.alphaxiv.org/audio/2301.12345", "2301.12345", None),
        ("https://hf.co/papers/2301.12345", "2301.12345", None),
        ("https://ar5iv.org/abs/hep-th/9901001", "hep-th/9901001", None),
        ("https://ar5iv.labs.arxiv.org/papers/2301.12345", "2301.12345", None),
        ("https://doi.org/10.48550/arXiv.2301.12345", "2301.12345", None),
        ("https://www.alphaxiv.org/overview/2301.12345v2?chatId=1", "2301.12345", 2),
        ("https://huggingface.co/papers/2301.12345", "2301.12345", None),
        ("https://ar5iv.labs.arxiv.org/html/2301.12345", "2301.12345", None),
    ],
)
def test_a_link_names_its_paper(link: str, base: str, version: int | None) -> None:
    assert parse_arxiv_link(link) == ArxivId(base=base, version=version)


@pytest.mark.parametrize(
    "link",
    [
        "https://arxiv.org.evil.com/abs/2301.12345",  # arxiv.org as a subdomain
        "https://evilarxiv.org/abs/2301.12345",
        "https://evil.com/arxiv.org/abs/2301.12345",  # arxiv.org in the path
        "https://evil.com/?u=https://arxiv.org/abs/2301.12345",
        "https://evil.com#https://arxiv.org/abs/2301.12345",
        "https://arxiv.org@evil.com/abs/2301.12345",  # arxiv.org as a user name
        "https://user:pw@arxiv.org/abs/2301.12345",
        "https://arxiv.org\\@evil.com/abs/2301.12345",  # a backslash is a slash to browsers
        "https://arxiv.org:8080/abs/2301.12345",
        "https://arxiv.org:/abs/2301.12345",
        "https://arxiv.org:99999/abs/2301.12345",
        "https://arxiv.org./abs/2301.12345",
        "https://\u0430rxiv.org/abs/2301.12345",  # Cyrillic a
        "https://xn--rxiv-53d.org/abs/2301.12345",  # the same in Punycode
        "ftp://arxiv.org/abs/2301.12345",
        "file:///abs/2301.12345",
        "//arxiv.org/abs/2301.12345",
        "javascript:alert(1)//arxiv.org/abs/2301.12345",
        "https://arxiv.org/abs/2301.12345/../../admin",
        "https://arxiv.org/abs/2301.12345%00",
        "https://arxiv.org/abs/2301.12345\r\nHost: evil.com",
        "https://arxiv.org/list/cs/2301",
        "https://doi.org/10.1000/arXiv.2301.12345",  # another publisher's
        "https://evil.com/10.48550/arXiv.2301.12345",
        "10.48550/2301.12345",
        "https://huggingface.co/models/2301.12345",
        "https://alphaxiv.org.evil.com/abs/2301.12345",
        "https://arxiv.org/abs/",
        "https://[::1/abs/2301.12345",
        "http://127.0.0.1/abs/2301.12345",
        "",
        "   ",
        "x" * 5000,
    ],
)
def test_a_look_alike_is_refused(link: str) -> None:
    with pytest.raises(ArxivIdError, match=r"expected a link such as https://arxiv\.org/abs/2301\.12345"):
        parse_arxiv_link(link)


@pytest.mark.parametrize(
    "text",
    [
        "2301.1234",  # five digits since 2015
        "1412.12345",  # four before
        "2313.12345",  # no such month
        "2300.12345",
        "0703.0001",  # before the new style began
        "2301.00000",
        "2301.12345v0",
        "\u0662301.12345",  # an Arabic digit
        "math/0613001",
        "hep-th/9106001",  # before arXiv
        "hep-th/0704001",  # the old style had ended
        "hep-th/9901000",
        "nosuch/9901001",
    ],
)
def test_an_identifier_that_arxiv_never_gave_is_refused(text: str) -> None:
    with pytest.raises(ArxivIdError):
        parse_arxiv_id(text)


def test_the_refusal_shows_a_shortened_and_printable_link() -> None:
    with pytest.raises(ArxivIdError) as refusal:
        parse_arxiv_link("https://evil.com/\x1b[31m" + "a" * 300)
    assert len(str(refusal.value)) < 160
    assert "\x1b" not in str(refusal.value)


def test_an_old_identifier_is_squashed_for_file_names() -> None:
    paper = parse_arxiv_id("math.CA/0611800v2")
    assert paper.squashed == "math_0611800"
    assert str(paper) == "math/0611800v2"
    assert paper.abs_url == "https://arxiv.org/abs/math/0611800v2"


LINKS = st.text(alphabet="arxiv.org:/@%#?[]\\2301v5 ").map("https://arxiv.org/abs/".__add__)


@given(st.text() | LINKS | st.from_regex(r"https?://\S+"))
def test_any_text_is_either_a_canonical_paper_or_refused(text: str) -> None:
    try:
        paper = parse_arxiv_link(text)
    except ArxivIdError:
        return
    assert parse_arxiv_id(str(paper)) == paper
    assert set(paper.base) <= set(ascii_lowercase + digits + "-./")
