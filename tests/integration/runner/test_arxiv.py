"""arXiv, as the stand-in plays it: metadata, PDF, and everything arXiv is known to do wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from paperjobs_runner.arxiv_id import ArxivId, parse_arxiv_id
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import (
    PaperUnavailable,
    PaperUnknown,
    PaperUnreadable,
    PaperWithdrawn,
    RateLimited,
    ServiceFailed,
)
from paperjobs_runner.interrupt import OutOfTime
from paperjobs_runner.services import arxiv as service
from paperjobs_runner.services.arxiv import Arxiv
from paperjobs_runner.settings import ArxivSettings
from paperjobs_standins.arxiv import ArxivStandin
from paperjobs_standins.loopback import LoopbackServer
from paperjobs_standins.server import Standins

PAPER = ArxivId(base="1706.03762")


@pytest.fixture(scope="module")
def standin() -> Iterator[LoopbackServer[ArxivStandin]]:
    with Standins(["arxiv"]) as standins:
        yield standins.arxiv


@pytest.fixture
def server(standin: LoopbackServer[ArxivStandin]) -> LoopbackServer[ArxivStandin]:
    """The stand-in, without faults and with no request recorded."""
    standin.clear()
    return standin


@pytest.fixture
def slept() -> list[float]:
    """The pauses that were made; none is really slept."""
    return []


@pytest.fixture
def arxiv(server: LoopbackServer[ArxivStandin], slept: list[float]) -> Iterator[Arxiv]:
    env = server.env()
    settings = ArxivSettings(
        api_url=env["ARXIV_API_URL"], pdf_url=env["ARXIV_PDF_URL"], user_agent="paperjobs-test", interval_s=0
    )
    with Arxiv(settings, replace(Deadline.after(600), sleep=slept.append)) as arxiv:
        yield arxiv


@pytest.mark.parametrize("wanted", ["1706.03762", "1706.03762v2", "hep-th/9711200", "math.DG/0211159v1"])
def test_metadata_is_found_in_either_style_and_version(arxiv: Arxiv, wanted: str) -> None:
    identifier = parse_arxiv_id(wanted)
    paper = arxiv.metadata(identifier)
    assert paper.id.base == identifier.base
    assert paper.id.version == identifier.version or identifier.version is None
    assert paper.title
    assert paper.authors


def test_the_pdf_of_that_very_version_is_fetched(
    arxiv: Arxiv, server: LoopbackServer[ArxivStandin], tmp_path: Path
) -> None:
    target = tmp_path / "paper.pdf"
    size = arxiv.download_pdf(arxiv.metadata(PAPER), target)
    assert target.read_bytes().startswith(b"%PDF-")
    assert target.stat().st_size == size
    assert server.requests[-1].target == "/pdf/1706.03762v7"


def test_a_paper_that_arxiv_does_not_have_is_unknown_only_after_three_empty_feeds(
    arxiv: Arxiv, server: LoopbackServer[ArxivStandin]
) -> None:
    with pytest.raises(
        PaperUnknown, match=r"arXiv has no paper 2912\.00001; look at https://arxiv\.org/abs/2912\.00001"
    ):
        arxiv.metadata(ArxivId(base="2912.00001"))
    assert len(server.requests) == 3


def test_a_version_that_does_not_exist_is_unknown(arxiv: Arxiv) -> None:
    with pytest.raises(PaperUnknown):
        arxiv.metadata(PAPER.at(99))


def test_an_empty_feed_for_a_paper_that_exists_is_asked_again(
    arxiv: Arxiv, server: LoopbackServer[ArxivStandin]
) -> None:
    server.fault("empty", times=2)
    assert arxiv.metadata(PAPER).id.base == PAPER.base


@pytest.mark.parametrize("kind", ["reset", "garbage", "truncate"])
def test_a_fault_that_passes_costs_nothing_but_time(
    arxiv: Arxiv, server: LoopbackServer[ArxivStandin], kind: str, slept: list[float]
) -> None:
    server.fault(kind, times=1, path="/api/query")
    assert arxiv.metadata(PAPER).id.base == PAPER.base
    assert slept == [1.0]


def test_a_rate_limit_without_a_time_ends_the_run_for_thirty_seconds(
    arxiv: Arxiv, server: LoopbackServer[ArxivStandin]
) -> None:
    server.fault("status", status=429)
    with pytest.raises(RateLimited) as limited:
        arxiv.metadata(PAPER)
    assert limited.value.retry_after_ms == 30_000
    assert len(server.requests) == 1


def test_a_503_with_retry_after_is_a_rate_limit_too(arxiv: Arxiv, server: LoopbackServer[ArxivStandin]) -> None:
    server.fault("status", status=503, retry_after=120)
    with pytest.raises(RateLimited) as limited:
        arxiv.metadata(PAPER)
    assert limited.value.retry_after_ms == 120_000


def test_after_a_403_not_one_more_request_is_made(arxiv: Arxiv, server: LoopbackServer[ArxivStandin]) -> None:
    server.fault("status", status=403, times=None)
    with pytest.raises(RateLimited, match="denies us access") as limited:
        arxiv.metadata(PAPER)
    assert limited.value.retry_after_ms == 3_600_000
    assert len(server.requests) == 1


def test_a_pdf_behind_a_redirect_on_the_same_host_is_fetched(
    server: LoopbackServer[ArxivStandin], arxiv: Arxiv, tmp_path: Path
) -> None:
    paper = arxiv.metadata(PAPER)
    response = arxiv._send(f"{server.url}/pdf/{paper.id}.pdf")
    assert (response.status_code, str(response.url)) == (200, f"{server.url}/pdf/{paper.id}")
    response.close()


@pytest.mark.parametrize(
    ("start", "target", "followed"),
    [
        ("https://export.arxiv.org/pdf/x", "https://arxiv.org/pdf/x", True),
        ("https://export.arxiv.org/pdf/x", "http://arxiv.org/pdf/x", False),  # never out of TLS
        ("https://export.arxiv.org/pdf/x", "https://arxiv.org.evil.com/x", False),
        ("https://export.arxiv.org/pdf/x", "https://user@arxiv.org/x", False),
        ("https://export.arxiv.org/pdf/x", "https://arxiv.org:444/x", False),
        ("https://export.arxiv.org/pdf/x", "http://169.254.169.254/latest/meta-data", False),
        ("https://export.arxiv.org/pdf/x", "file:///etc/passwd", False),
    ],
)
def test_redirects_stay_on_arxiv(start: str, target: str, followed: bool) -> None:
    assert service._may_follow(start, target) is followed


def test_a_withdrawn_paper_offers_its_earlier_version(
    arxiv: Arxiv, server: LoopbackServer[ArxivStandin], tmp_path: Path
) -> None:
    paper = replace(arxiv.metadata(PAPER), withdrawn=True)
    server.fault("status", status=404, path="/pdf/")
    with pytest.raises(PaperWithdrawn, match=r"1706\.03762v7 was withdrawn.*https://arxiv\.org/abs/1706\.03762v6"):
        arxiv.download_pdf(paper, tmp_path / "x")
    server.fault("garbage", path="/pdf/")  # an older arXiv answered a page with status 200
    with pytest.raises(PaperWithdrawn):
        arxiv.download_pdf(paper, tmp_path / "x")


def test_a_page_in_place_of_a_pdf_is_not_taken_for_one(
    arxiv: Arxiv, server: LoopbackServer[ArxivStandin], tmp_path: Path
) -> None:
    paper = arxiv.metadata(PAPER)
    server.fault("garbage", path="/pdf/")
    with pytest.raises(PaperUnavailable, match="a page instead of a PDF"):
        arxiv.download_pdf(paper, tmp_path / "x")
    server.fault("garbage", path="/pdf/", body="PK\x03\x04")
    with pytest.raises(PaperUnreadable, match="not a PDF"):
        arxiv.download_pdf(paper, tmp_path / "x")
    server.fault("status", status=404, path="/pdf/")
    with pytest.raises(PaperUnavailable, match="no PDF"):
        arxiv.download_pdf(paper, tmp_path / "x")


def test_a_truncated_pdf_is_fetched_again(arxiv: Arxiv, server: LoopbackServer[ArxivStandin], tmp_path: Path) -> None:
    server.fault("truncate", path="/pdf/")
    size = arxiv.download_pdf(arxiv.metadata(PAPER), tmp_path / "x")
    assert (tmp_path / "x").stat().st_size == size
    assert (tmp_path / "x").read_bytes().rstrip().endswith(b"%%EOF")


def test_a_pdf_without_end_is_cut_off(
    arxiv: Arxiv, server: LoopbackServer[ArxivStandin], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_PDF_BYTES", 10_000)
    with pytest.raises(PaperUnavailable, match="has more than"):
        arxiv.download_pdf(arxiv.metadata(PAPER), tmp_path / "x")


def test_an_error_page_without_end_is_not_read_to_its_end(
    arxiv: Arxiv, server: LoopbackServer[ArxivStandin], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = arxiv.metadata(PAPER)
    page = "x" * 5000 + "Access denied" + "x" * 1_000_000
    monkeypatch.setattr(httpx2.Response, "read", None)  # reads a whole body, whatever its size
    server.fault("status", status=403, path="/pdf/", body=page)
    with pytest.raises(PaperUnavailable, match="no PDF"):
        arxiv.download_pdf(paper, tmp_path / "x")
    server.fault("status", status=429, body=page)
    with pytest.raises(RateLimited):
        arxiv.metadata(PAPER)


def test_an_answer_that_trickles_ends_with_the_runs_time(arxiv: Arxiv) -> None:
    clock = iter(range(600, 10_000, 300))  # the first look at the clock is ten minutes later
    arxiv._deadline = replace(arxiv._deadline, at=600, clock=lambda: next(clock))
    with pytest.raises(OutOfTime):
        arxiv.metadata(PAPER)


def test_two_requests_keep_arxivs_interval(server: LoopbackServer[ArxivStandin], tmp_path: Path) -> None:
    env, slept = server.env(), list[float]()
    settings = ArxivSettings(
        api_url=env["ARXIV_API_URL"], pdf_url=env["ARXIV_PDF_URL"], user_agent="paperjobs-test", interval_s=3
    )
    with Arxiv(settings, replace(Deadline.after(600), sleep=slept.append)) as arxiv:
        arxiv.download_pdf(arxiv.metadata(PAPER), tmp_path / "x")
    assert len(slept) == 1
    assert 2 < slept[0] <= 3


def test_an_arxiv_that_is_gone_is_a_passing_fault(slept: list[float]) -> None:
    settings = ArxivSettings(
        api_url="http://127.0.0.1:1/a", pdf_url="http://127.0.0.1:1/p", user_agent="x", interval_s=0
    )
    with Arxiv(settings, replace(Deadline.after(600), sleep=slept.append)) as arxiv, pytest.raises(ServiceFailed):
        arxiv.metadata(PAPER)
    assert slept == [1.0, 2.0]
