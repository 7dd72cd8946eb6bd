"""What arXiv, and whoever stands before it, is known to do wrong: each against the stand-in that does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from paperjobs_runner.arxiv_id import ArxivId
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import PaperUnavailable, PaperUnknown, PaperWithdrawn, RateLimited, ServiceFailed
from paperjobs_runner.services import arxiv as service
from paperjobs_runner.services.arxiv import Arxiv
from paperjobs_runner.services.arxiv_feed import PaperMetadata
from paperjobs_runner.settings import ArxivSettings, read_settings
from paperjobs_standins.arxiv import ArxivStandin
from paperjobs_standins.exchange import Answer, Request
from paperjobs_standins.loopback import LoopbackServer

PAPER = ArxivId(base="1706.03762")

ATOM = '<feed xmlns="http://www.w3.org/2005/Atom">{}</feed>'
ERROR = "<entry><id>http://arxiv.org/api/errors#x</id><title>Error</title><summary>{}</summary></entry>"


class Noted(ArxivStandin):
    """arXiv that remembers the headers of what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.headers: list[dict[str, str]] = []

    def answer(self, request: Request) -> Answer:
        self.headers.append(dict(request.headers))
        return super().answer(request)


@pytest.fixture(scope="module")
def standin() -> Iterator[LoopbackServer[Noted]]:
    server = LoopbackServer(Noted())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(standin: LoopbackServer[Noted]) -> LoopbackServer[Noted]:
    standin.clear()
    return standin


@pytest.fixture
def elsewhere() -> Iterator[LoopbackServer[ArxivStandin]]:
    """Another server on a private address."""
    server = LoopbackServer(ArxivStandin())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def arxiv(server: LoopbackServer[Noted], slept: list[float]) -> Iterator[Arxiv]:
    with Arxiv(settings_for(server), replace(Deadline.after(600), sleep=slept.append)) as arxiv:
        yield arxiv


def settings_for(server: LoopbackServer[Noted]) -> ArxivSettings:
    env = {
        "DATABASE_URL": "sqlite:///x",
        "ANTHROPIC_API_KEY": "x",
        "PAPERJOBS_STORAGE_DIR": "x",
        "ARXIV_CONTACT": "mailto:papers@example.org",
    }
    return read_settings(env | server.env()).arxiv


def test_every_request_says_who_asks_and_how_to_reach_us(
    arxiv: Arxiv, server: LoopbackServer[Noted], tmp_path: Path
) -> None:
    server.service.headers.clear()
    arxiv.download_pdf(arxiv.metadata(PAPER), tmp_path / "x")
    agents = [headers["user-agent"] for headers in server.service.headers]
    assert len(agents) == 2
    assert all(agent.startswith("paperjobs-runner/") for agent in agents)
    assert all("(+mailto:papers@example.org)" in agent for agent in agents)


@pytest.mark.parametrize("kind", ["reply", "status"])  # with 200, and with 400
def test_an_error_entry_about_the_identifier_is_for_good_and_any_other_passes(
    kind: str, arxiv: Arxiv, server: LoopbackServer[Noted]
) -> None:
    server.fault(kind, status=400, body=ATOM.format(ERROR.format("incorrect id format for 1706")))
    with pytest.raises(PaperUnknown, match="incorrect id format for 1706"):
        arxiv.metadata(PAPER)
    assert len(server.requests) == 1
    server.fault(kind, status=400, body=ATOM.format(ERROR.format("something went wrong")))
    assert arxiv.metadata(PAPER).id.base == PAPER.base


def test_an_entry_without_an_id_counts_as_an_empty_feed(arxiv: Arxiv, server: LoopbackServer[Noted]) -> None:
    server.fault("reply", body=ATOM.format("<entry><title>x</title></entry>"), times=2)
    assert arxiv.metadata(PAPER).id.base == PAPER.base
    assert len(server.requests) == 3


def test_entries_of_other_papers_before_ours_are_passed_over(arxiv: Arxiv, server: LoopbackServer[Noted]) -> None:
    entry = "<entry><id>http://arxiv.org/abs/{}</id><title>{}</title></entry>"
    entries = entry.format("2301.00001v1", "wrong") + entry.format("1706.03762v7", "right")
    server.fault("reply", body=ATOM.format(entries))
    assert arxiv.metadata(PAPER).title == "right"


@pytest.mark.parametrize(
    "bomb",
    [
        '<!DOCTYPE f [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + ATOM.format("&b;"),
        '<!DOCTYPE f SYSTEM "http://127.0.0.1:1/x.dtd">' + ATOM.format(""),
        '<!DOCTYPE f [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + ATOM.format("&a;"),
    ],
)
def test_an_xml_bomb_is_no_feed(bomb: str, arxiv: Arxiv, server: LoopbackServer[Noted]) -> None:
    server.fault("reply", body=bomb, times=None)
    with pytest.raises(ServiceFailed, match="not an Atom feed"):
        arxiv.metadata(PAPER)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        (None, 30_000, 30_000),
        ("garbage", 30_000, 30_000),
        (90, 90_000, 90_000),
        (timedelta(hours=1), 3_000_000, 3_600_000),  # as a date
        (10**9, 3_600_000, 3_600_000),  # capped
    ],
)
def test_arxiv_that_asks_to_wait_is_given_what_it_asks_for(
    status: int,
    retry_after: int | str | timedelta | None,
    least: int,
    most: int,
    arxiv: Arxiv,
    server: LoopbackServer[Noted],
) -> None:
    # The date is made now: from the collection of the tests to here half an hour may pass.
    if isinstance(retry_after, timedelta):
        retry_after = format_datetime(datetime.now(UTC) + retry_after, usegmt=True)
    server.fault("status", status=status, retry_after=retry_after)
    with pytest.raises(RateLimited) as limited:
        arxiv.metadata(PAPER)
    assert least <= limited.value.retry_after_ms <= most
    assert len(server.requests) == 1


def test_a_short_wait_is_slept(arxiv: Arxiv, server: LoopbackServer[Noted], slept: list[float]) -> None:
    server.fault("status", status=429, retry_after=4)
    assert arxiv.metadata(PAPER).id.base == PAPER.base
    assert slept == [4.0]


def test_a_block_is_final_for_the_pdf_too(arxiv: Arxiv, server: LoopbackServer[Noted], tmp_path: Path) -> None:
    paper = arxiv.metadata(PAPER)
    server.fault("status", status=403, path="/pdf/", times=None)
    with pytest.raises(RateLimited, match="denies us access"):
        arxiv.download_pdf(paper, tmp_path / "x")
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "address",
    [
        "http://arxiv.org/pdf/1706.03762v7",
        "https://arxiv.org.evil.example/pdf/1706.03762v7",
        "https://user:password@arxiv.org/pdf/1706.03762v7",
        "https://arxiv.org:8443/pdf/1706.03762v7",
        "https://127.0.0.1/pdf/1706.03762v7",
        "https://[::1]/pdf/1706.03762v7",
        "https://2130706433/pdf/1706.03762v7",
        "http://169.254.169.254/latest/meta-data/",
        "//169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
    ],
)
def test_a_redirect_off_arxiv_is_not_followed(
    address: str, arxiv: Arxiv, server: LoopbackServer[Noted], tmp_path: Path
) -> None:
    paper = arxiv.metadata(PAPER)
    server.fault("redirect", location=address, path="/pdf/", times=None)
    with pytest.raises(ServiceFailed, match="redirects to an address that is not arXiv's"):
        arxiv.download_pdf(paper, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_redirect_to_another_server_on_a_private_address_sends_it_nothing(
    arxiv: Arxiv, server: LoopbackServer[Noted], elsewhere: LoopbackServer[ArxivStandin]
) -> None:
    server.fault("redirect", location=f"{elsewhere.url}/api/query?id_list=1706.03762", times=None)
    with pytest.raises(ServiceFailed):
        arxiv.metadata(PAPER)
    assert elsewhere.requests == ()


@pytest.mark.parametrize("location", ["", "/api/query?id_list=1706.03762"])
def test_redirects_in_a_circle_end(location: str, arxiv: Arxiv, server: LoopbackServer[Noted]) -> None:
    server.fault("redirect", location=location, times=None)
    with pytest.raises(ServiceFailed, match="without end"):
        arxiv.metadata(PAPER)
    assert len(server.requests) == 3 * 4  # tries, each with three redirects


def test_a_pdf_whose_length_is_not_told_is_fetched_whole(
    arxiv: Arxiv, server: LoopbackServer[Noted], tmp_path: Path
) -> None:
    paper = arxiv.metadata(PAPER)
    server.fault("chunked", path="/pdf/")
    size = arxiv.download_pdf(paper, tmp_path / "x")
    assert (tmp_path / "x").stat().st_size == size
    assert (tmp_path / "x").read_bytes().rstrip().endswith(b"%%EOF")


def test_a_pdf_in_chunks_without_end_is_left_at_the_limit(
    arxiv: Arxiv, server: LoopbackServer[Noted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = arxiv.metadata(PAPER)
    monkeypatch.setattr(service, "MAX_PDF_BYTES", 3_000_000)
    server.fault("endless", path="/pdf/")
    with pytest.raises(PaperUnavailable, match="more than 3 MB"):
        arxiv.download_pdf(paper, tmp_path / "x")
    assert (tmp_path / "x").stat().st_size < 4_000_000


def test_a_feed_in_chunks_without_end_is_left_at_the_limit(arxiv: Arxiv, server: LoopbackServer[Noted]) -> None:
    server.fault("endless", times=None)
    with pytest.raises(ServiceFailed, match="too large"):
        arxiv.metadata(PAPER)


def _withdrawn(paper: PaperMetadata) -> PaperMetadata:
    return replace(paper, withdrawn=True)


def _as_it_is(paper: PaperMetadata) -> PaperMetadata:
    return paper


@pytest.mark.parametrize(
    ("status", "body", "change", "expected"),
    [
        (404, None, _withdrawn, PaperWithdrawn),
        (404, None, _as_it_is, PaperUnavailable),
        (403, "<html>not public</html>", _as_it_is, PaperUnavailable),
        (500, None, _as_it_is, ServiceFailed),
    ],
)
def test_each_way_in_which_arxiv_has_no_pdf_is_told_apart(
    status: int,
    body: str | None,
    change: Callable[[PaperMetadata], PaperMetadata],
    expected: type[Exception],
    arxiv: Arxiv,
    server: LoopbackServer[Noted],
    tmp_path: Path,
) -> None:
    paper = change(arxiv.metadata(PAPER))
    server.fault("status", status=status, body=body, path="/pdf/", times=None)
    with pytest.raises(expected) as failure:
        arxiv.download_pdf(paper, tmp_path / "x")
    assert type(failure.value) is expected
