"""arXiv: a paper's metadata and its PDF.

Only the two configured addresses are asked, with an identifier we parsed ourselves; redirects stay on arXiv's hosts and
never leave TLS. Rules: https://info.arxiv.org/help/api/tou.html (one request in three seconds), and after a 403
"Access denied" not one more request (https://info.arxiv.org/help/robots.html): the queue is held for an hour.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx2

from paperjobs_runner.arxiv_id import ArxivId
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import (
    PaperUnavailable,
    PaperUnknown,
    PaperUnreadable,
    PaperWithdrawn,
    RateLimited,
    ServiceFailed,
)
from paperjobs_runner.services.allowance import NO_BUDGETS, Allowances, Pace
from paperjobs_runner.services.arxiv_feed import PaperMetadata, read_feed
from paperjobs_runner.services.feed_cache import FeedCache
from paperjobs_runner.services.patience import retry_after_ms, with_patience
from paperjobs_runner.settings import ArxivSettings

MAX_FEED_BYTES: Final = 2_000_000
"""One entry has about 4 kB; papers with 3,000 authors 200 kB."""
MAX_PDF_BYTES: Final = 100_000_000
"""Adobe takes no more either (developer.adobe.com, overview/limits)."""
MAX_ERROR_BYTES: Final = 4096
"""Enough of an error page to tell one kind from another."""
EMPTY_FEED_TRIES: Final = 3
"""arXiv now and then answers an empty feed for a paper it has."""
EMPTY_FEED_PAUSE_S: Final = 0.2
BACKOFF_S: Final = 30.0
"""Seconds to wait after a 429 or 503 that does not say how long."""
BLOCKED_S: Final = 3600.0
_HOSTS: Final = frozenset({"arxiv.org", "www.arxiv.org", "export.arxiv.org"})
_REDIRECTS: Final = 3

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class Arxiv:
    """One run's conversation with arXiv, over one connection."""

    def __init__(
        self,
        settings: ArxivSettings,
        deadline: Deadline,
        budgets: Allowances = NO_BUDGETS,
        feeds: FeedCache | None = None,
    ) -> None:
        """What arXiv says about papers is put into `feeds`; whether it is there already is the caller's business."""
        self._settings = settings
        self._feeds = feeds or FeedCache()
        self._deadline = deadline
        self._allowance = budgets.of("arxiv", Pace(settings.interval_s, deadline))
        self._client = httpx2.Client(
            headers={"User-Agent": settings.user_agent},
            timeout=httpx2.Timeout(30, connect=10),
            limits=httpx2.Limits(max_connections=1),
        )

    def __enter__(self) -> Arxiv:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._client.close()

    def metadata(self, wanted: ArxivId) -> PaperMetadata:
        """What arXiv says about the paper; raises PaperUnknown when it says nothing, repeatedly."""
        url = f"{self._settings.api_url}?id_list={wanted}&max_results=1"
        for attempt in range(EMPTY_FEED_TRIES):
            if attempt:
                self._deadline.sleep(EMPTY_FEED_PAUSE_S)
            paper = self._patiently(lambda: self._ask(url, wanted))
            if paper is not None:
                return paper
        raise PaperUnknown(f"arXiv has no paper {wanted}; look at {wanted.abs_url} and correct the job's arxivUrl")

    def download_pdf(self, paper: PaperMetadata, target: Path) -> int:
        """Write the paper's PDF into `target`; returns its size in bytes."""
        url = f"{self._settings.pdf_url}/{paper.id}"
        size = self._patiently(lambda: self._save(url, paper, target))
        with target.open("rb") as file:
            head = file.read(1024)
        if b"%PDF-" in head:
            return size
        if paper.withdrawn:
            raise _withdrawn(paper)
        if b"<html" in head.lower() or b"<!doctype" in head.lower():
            raise PaperUnavailable(f"arXiv shows a page instead of a PDF for {paper.id}; look at {paper.id.abs_url}")
        raise PaperUnreadable(f"what arXiv sends for {paper.id} is not a PDF")

    def _ask(self, url: str, wanted: ArxivId) -> PaperMetadata | None:
        feed = self._get(url)
        paper = read_feed(feed, wanted)
        if paper is not None and not paper.withdrawn:
            self._feeds.keep(wanted, feed)
        return paper

    def _patiently(self, call: Callable[[], _T]) -> _T:
        return with_patience(call, deadline=self._deadline, allowance=self._allowance)

    def _get(self, url: str) -> bytes:
        feed = bytearray()
        # arXiv reports a wrong identifier as 400 with an Atom entry that says why.
        with self._open(url) as response:
            if response.status_code not in (200, 400):
                raise _failure(response.status_code, response.headers, self._head(response))
            for chunk in self._chunks(response):
                feed += chunk
                if len(feed) > MAX_FEED_BYTES:
                    raise ServiceFailed("arXiv's answer is too large to be a paper's metadata")
        return bytes(feed)

    def _save(self, url: str, paper: PaperMetadata, target: Path) -> int:
        size = 0
        with self._open(url) as response, target.open("wb") as file:
            if response.status_code == 404:
                raise _withdrawn(paper) if paper.withdrawn else _no_pdf(paper)
            if response.status_code != 200:
                head = self._head(response)
                if response.status_code == 403 and b"denied" not in head.lower():
                    raise _no_pdf(paper)
                raise _failure(response.status_code, response.headers, head)
            for chunk in self._chunks(response):
                size += file.write(chunk)
                if size > MAX_PDF_BYTES:
                    raise PaperUnavailable(f"the PDF of {paper.id} has more than {MAX_PDF_BYTES // 1_000_000} MB")
        return size

    def _head(self, response: httpx2.Response) -> bytes:
        """The beginning of an error page; the rest is not waited for."""
        head = bytearray()
        for chunk in self._chunks(response):
            head += chunk
            if len(head) >= MAX_ERROR_BYTES:
                break
        return bytes(head[:MAX_ERROR_BYTES])

    def _chunks(self, response: httpx2.Response) -> Iterator[bytes]:
        """The body piece by piece, while there is time: each piece may arrive just before its own time limit."""
        for chunk in response.iter_bytes():
            yield chunk
            self._deadline.limit(1)

    def _open(self, url: str) -> _Answer:
        return _Answer(self, url)

    def _send(self, url: str) -> httpx2.Response:
        """Follow redirects by hand, so that each next address is looked at before it is asked."""
        start = url
        for _ in range(_REDIRECTS + 1):
            self._allowance.draw()
            try:
                response = self._client.send(self._client.build_request("GET", url), stream=True)
            except httpx2.TimeoutException:
                raise ServiceFailed("arXiv did not answer in time") from None
            except httpx2.HTTPError as error:
                raise ServiceFailed(f"arXiv cannot be reached ({type(error).__name__})") from None
            if not response.is_redirect:
                return response
            response.close()
            url = urljoin(url, response.headers.get("location", ""))
            if not _may_follow(start, url):
                raise ServiceFailed("arXiv redirects to an address that is not arXiv's; not followed")
        raise ServiceFailed("arXiv redirects without end")


class _Answer:
    """An open response whose body can still fail; its errors are translated too."""

    def __init__(self, arxiv: Arxiv, url: str) -> None:
        self._arxiv = arxiv
        self._url = url

    def __enter__(self) -> httpx2.Response:
        self._response = self._arxiv._send(self._url)
        return self._response

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self._response.close()
        if isinstance(error, httpx2.HTTPError):
            raise ServiceFailed(f"arXiv's answer broke off ({type(error).__name__})") from None


def _may_follow(start: str, url: str) -> bool:
    first, parts = urlsplit(start), urlsplit(url)
    if (parts.scheme, parts.netloc) == (first.scheme, first.netloc):
        return True
    return parts.scheme == "https" and parts.netloc in _HOSTS


def _failure(status: int, headers: httpx2.Headers, body: bytes) -> Exception:
    if status in (429, 503):
        wait = retry_after_ms(headers.get("retry-after"), default_s=BACKOFF_S)
        return RateLimited(f"arXiv asks to wait {wait / 1000:.0f} s ({status})", retry_after_ms=wait)
    if status == 403:
        _log.error(
            "arXiv denies access; no further request is made in this run", extra={"body": body[:300].decode("latin-1")}
        )
        message = "arXiv denies us access (403); the queue waits an hour. Set ARXIV_CONTACT and write to arXiv's help"
        return RateLimited(message, retry_after_ms=int(BLOCKED_S * 1000))
    return ServiceFailed(f"arXiv answered with status {status}")


def _withdrawn(paper: PaperMetadata) -> PaperWithdrawn:
    version = paper.id.version or 1
    remedy = f"; an earlier version can be queued: {paper.id.at(version - 1).abs_url}" if version > 1 else ""
    return PaperWithdrawn(f"{paper.id} was withdrawn and has no PDF{remedy}")


def _no_pdf(paper: PaperMetadata) -> PaperUnavailable:
    return PaperUnavailable(f"arXiv has no PDF of {paper.id}; look at {paper.id.abs_url}")
