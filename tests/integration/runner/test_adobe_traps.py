"""Each trap of Adobe's SDK (observed in 4.3.0), against a stand-in that sets it off."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import RateLimited, ServiceFailed, ServiceRefused
from paperjobs_runner.services import adobe as service
from paperjobs_runner.services.adobe import adobe_pages
from paperjobs_runner.services.adobe_errors import AdobeCannotRead
from paperjobs_runner.settings import AdobeSettings
from paperjobs_standins.adobe import AdobeStandin
from paperjobs_standins.loopback import LoopbackServer
from paperjobs_standins.papers import pdf_of, sample_papers

PAPER: Final = next(paper for paper in sample_papers() if paper.arxiv_id == "1706.03762")
GATEWAY: Final = '{"error_code": "429050", "message": "Too many requests"}'
HTML: Final = "<html><body>Something went wrong</body></html>"
SUBMIT: Final = "/operation/extractpdf"
SECRETS: Final = ("Amz", "standin-secret", "127.0.0.1")


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    path = tmp_path / "paper.pdf"
    path.write_bytes(pdf_of(PAPER))
    return path


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@contextmanager
def adobe(**behaviour: Any) -> Iterator[LoopbackServer[AdobeStandin]]:
    server = LoopbackServer(AdobeStandin(**{"polls": 1, "retry_after": 0} | behaviour))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def server() -> Iterator[LoopbackServer[AdobeStandin]]:
    with adobe() as server:
        yield server


def settings_for(server: LoopbackServer[AdobeStandin]) -> AdobeSettings:
    env = server.env()
    return AdobeSettings(
        client_id=env["ADOBE_CLIENT_ID"],
        client_secret=env["ADOBE_CLIENT_SECRET"],
        url=env["ADOBE_PDF_SERVICES_URL"],
        region="us",
    )


def read(server: LoopbackServer[AdobeStandin], pdf: Path, seconds: float = 600) -> list[str]:
    """The pages; no pause between two tries is really slept."""
    return adobe_pages(pdf, settings_for(server), replace(Deadline.after(seconds), sleep=lambda _seconds: None))


@pytest.mark.parametrize(
    ("path", "status", "body", "expected"),
    [
        # A gateway's 429 makes the SDK break with AttributeError, a page with JSONDecodeError: both are a 429.
        ("/assets", 429, GATEWAY, RateLimited),
        (SUBMIT, 429, GATEWAY, RateLimited),
        ("/status", 429, GATEWAY, RateLimited),
        (SUBMIT, 429, HTML, RateLimited),
        (SUBMIT, 429, "", RateLimited),
        ("/status", 429, None, RateLimited),
        ("/assets", 500, HTML, ServiceFailed),
        (SUBMIT, 500, HTML, ServiceFailed),
        (SUBMIT, 500, "", ServiceFailed),
        # OperationException, whose text is empty, or ServiceApiException, after the step.
        ("/assets", 502, "", ServiceFailed),
        ("/assets", 503, "", ServiceFailed),
        (SUBMIT, 502, "", ServiceFailed),
        (SUBMIT, 503, "", ServiceFailed),
        (SUBMIT, 504, "", ServiceFailed),
        ("/storage/", 502, "", ServiceFailed),
        ("/status", 504, "", ServiceFailed),
        (SUBMIT, 413, "", AdobeCannotRead),
        ("/storage/", 413, "", AdobeCannotRead),
        # A token that has run out: the SDK's own "retry on 401" is never reached.
        (SUBMIT, 401, '{"error_code": "401013", "message": "Oauth token is not valid"}', ServiceRefused),
        ("/status", 401, '{"error_code": "401013", "message": "Oauth token is not valid"}', ServiceRefused),
        # /token: SdkException without a status, whatever happened.
        ("/token", 429, None, ServiceFailed),
        ("/token", 503, None, ServiceFailed),
        # Signed links: in XML, and as a page.
        ("/storage/", 403, None, ServiceFailed),
        ("/storage/", 403, HTML, ServiceFailed),
        ("/storage/", 403, "Forbidden", ServiceFailed),
    ],
)
def test_a_refusal_in_whatever_form_is_sorted(
    path: str,
    status: int,
    body: str | None,
    expected: type[Exception],
    server: LoopbackServer[AdobeStandin],
    pdf: Path,
) -> None:
    server.fault("status", path=path, status=status, body=body, times=None)
    with pytest.raises(expected) as failure:
        read(server, pdf)
    assert type(failure.value) is expected
    assert not [secret for secret in SECRETS if secret in str(failure.value)]


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        (path, fault)
        for path in ("/token", "/assets", SUBMIT, "/status")
        for fault in ("garbage", "empty", "truncate", "reset")
        if (path, fault) != (SUBMIT, "truncate")  # its answer has no body that could break off
    ],
)
def test_an_answer_that_is_none_is_a_passing_fault(
    path: str, fault: str, server: LoopbackServer[AdobeStandin], pdf: Path
) -> None:
    server.fault(fault, path=path, times=None)
    with pytest.raises(ServiceFailed) as failure:
        read(server, pdf)
    assert not [secret for secret in SECRETS if secret in str(failure.value)]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "status", "status": 403}, ServiceFailed),  # the signed link has run out
        ({"kind": "status", "status": 404, "body": HTML}, ServiceFailed),
        ({"kind": "redirect", "location": "http://169.254.169.254/"}, ServiceFailed),
        ({"kind": "garbage"}, ServiceFailed),
        ({"kind": "truncate"}, ServiceFailed),
        ({"kind": "reset"}, ServiceFailed),
        ({"kind": "reply", "body": "[" * 100_000}, ServiceFailed),
        ({"kind": "endless"}, AdobeCannotRead),
    ],
)
def test_a_result_that_cannot_be_fetched_is_sorted(
    fault: dict[str, Any], expected: type[Exception], server: LoopbackServer[AdobeStandin], pdf: Path
) -> None:
    server.fault(**fault, path="/storage/", method="GET", times=None)
    with pytest.raises(expected) as failure:
        read(server, pdf)
    assert type(failure.value) is expected
    assert not [secret for secret in SECRETS if secret in str(failure.value)]


def test_credentials_that_adobe_refuses_in_oauths_form_fail_the_run_and_are_not_repeated(
    server: LoopbackServer[AdobeStandin], pdf: Path
) -> None:
    settings = replace(settings_for(server), client_secret="planted-secret")
    with pytest.raises((ServiceFailed, ServiceRefused)) as failure:
        adobe_pages(pdf, settings, replace(Deadline.after(600), sleep=lambda _seconds: None))
    assert "planted-secret" not in str(failure.value)


@pytest.mark.parametrize("retry_after", [None, "Wed, 21 Oct 2026 07:28:00 GMT", "soon", -5, "nan"])
def test_a_poll_that_does_not_say_how_long_to_wait_is_made_again(
    retry_after: int | str | None, pdf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "POLL_S", 0.02)
    with adobe(retry_after=retry_after) as server:
        assert read(server, pdf)


def test_a_poll_that_asks_for_an_hour_is_made_sooner(pdf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "POLL_S", 0.02)
    with adobe(retry_after=3600) as server:
        assert read(server, pdf)


def test_a_job_that_is_never_done_ends_with_the_stage_and_is_polled_no_more(
    pdf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "STAGE_S", 0.6)
    with adobe(polls=10**9) as server:
        with pytest.raises(ServiceFailed, match="took longer"):
            read(server, pdf)
        time.sleep(1.5)  # the thread that cannot be ended has noticed
        asked = len(server.requests)
        time.sleep(0.5)
        assert len(server.requests) == asked


def test_tokens_that_are_old_at_birth_cost_requests_and_no_more(pdf: Path) -> None:
    with adobe(token_seconds=100) as server:
        assert read(server, pdf)
        assert sum(request.target == "/token" for request in server.requests) > 1


def test_of_the_results_the_json_alone_is_fetched(server: LoopbackServer[AdobeStandin], pdf: Path) -> None:
    read(server, pdf)
    fetched = [request for request in server.requests if request.method == "GET" and "/storage/" in request.target]
    assert len(fetched) == 1


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda _pdf: b"%PDF-1.7 broken", "BAD_PDF"),
        (lambda pdf: _with_pages(pdf, 401), "DISQUALIFIED_PAGE_LIMIT"),
    ],
)
def test_a_job_that_fails_because_of_the_file_says_so(
    make: Callable[[Path], bytes], code: str, server: LoopbackServer[AdobeStandin], pdf: Path
) -> None:
    pdf.write_bytes(make(pdf))
    with pytest.raises(AdobeCannotRead) as refused:
        read(server, pdf)
    assert refused.value.code.startswith(code)
    assert refused.value.for_good
    assert sum(request.target == SUBMIT for request in server.requests) == 1


def _with_pages(pdf: Path, pages: int) -> bytes:
    from pypdf import PdfWriter

    writer = PdfWriter(clone_from=pdf)
    while len(writer.pages) < pages:
        writer.add_blank_page(width=612, height=792)
    writer.write(pdf)
    return pdf.read_bytes()
