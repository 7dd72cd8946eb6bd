"""Adobe PDF Extract: the real SDK against the stand-in, and what happens when Adobe fails."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paperjobs_runner.arxiv_id import ArxivId
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import PaperUnreadable, RateLimited, ServiceFailed, ServiceRefused
from paperjobs_runner.services import adobe as service
from paperjobs_runner.services.adobe import adobe_pages
from paperjobs_runner.services.adobe_errors import AdobeCannotRead
from paperjobs_runner.services.paper_text import FORM, extract_text, kept_text
from paperjobs_runner.services.storage import FolderStorage
from paperjobs_runner.settings import AdobeSettings
from paperjobs_standins.adobe import AdobeStandin
from paperjobs_standins.loopback import LoopbackServer
from paperjobs_standins.papers import pdf_of, sample_papers

PAPER = next(paper for paper in sample_papers() if paper.arxiv_id == "1706.03762")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer[AdobeStandin]]:
    """Adobe, with jobs that are done at the second poll."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = LoopbackServer(AdobeStandin(polls=1, retry_after=0))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def settings(server: LoopbackServer[AdobeStandin]) -> AdobeSettings:
    env = server.env()
    return AdobeSettings(
        client_id=env["ADOBE_CLIENT_ID"],
        client_secret=env["ADOBE_CLIENT_SECRET"],
        url=env["ADOBE_PDF_SERVICES_URL"],
        region="us",
    )


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    path = tmp_path / "paper.pdf"
    path.write_bytes(pdf_of(PAPER))
    return path


def deadline() -> Deadline:
    """Ten minutes, in which no pause is really slept."""
    real = Deadline.after(600)
    return Deadline(at=real.at, sleep=lambda _seconds: None)


def test_the_text_comes_page_by_page(settings: AdobeSettings, pdf: Path) -> None:
    pages = adobe_pages(pdf, settings, deadline())
    assert PAPER.title in " ".join(pages[0].split())
    for author in PAPER.listed:
        assert author.split()[-1] in pages[0]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"path": "/token", "kind": "status", "status": 401}, ServiceRefused),
        ({"path": "/token", "kind": "garbage"}, ServiceFailed),
        ({"path": "/assets", "kind": "status", "status": 401}, ServiceRefused),
        ({"path": "/assets", "kind": "status", "status": 429}, RateLimited),
        ({"path": "/assets", "kind": "truncate"}, ServiceFailed),
        ({"path": "/operation/extractpdf", "kind": "status", "status": 429}, RateLimited),
        ({"path": "/operation/extractpdf", "kind": "status", "status": 413}, AdobeCannotRead),
        ({"path": "/operation/extractpdf", "kind": "garbage"}, ServiceFailed),
        ({"path": "/status", "kind": "status", "status": 503}, ServiceFailed),
        ({"path": "/storage/", "kind": "status", "status": 403}, ServiceFailed),  # an expired link
        ({"path": "/storage/", "kind": "reset"}, ServiceFailed),
    ],
)
def test_a_failure_at_any_step_is_sorted(
    settings: AdobeSettings,
    pdf: Path,
    server: LoopbackServer[AdobeStandin],
    fault: dict[str, Any],
    expected: type[Exception],
) -> None:
    server.fault(**fault, times=None)
    with pytest.raises(expected) as failure:
        adobe_pages(pdf, settings, deadline())
    assert type(failure.value) is expected
    assert "Amz" not in str(failure.value)


def test_a_failure_that_passes_is_tried_once_more(
    settings: AdobeSettings, pdf: Path, server: LoopbackServer[AdobeStandin]
) -> None:
    server.fault("reset", path="/assets")
    assert adobe_pages(pdf, settings, deadline())


def test_a_token_request_that_hangs_does_not_hang_the_run(
    settings: AdobeSettings, pdf: Path, server: LoopbackServer[AdobeStandin], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "STAGE_S", 0.5)
    server.fault("hang", path="/token", times=None)
    with pytest.raises(ServiceFailed, match="took longer"):
        adobe_pages(pdf, settings, deadline())


def test_no_secret_is_logged(
    settings: AdobeSettings, pdf: Path, server: LoopbackServer[AdobeStandin], caplog: pytest.LogCaptureFixture
) -> None:
    server.fault("reset", path="/storage/", times=None)
    with caplog.at_level(logging.INFO), pytest.raises(ServiceFailed):
        adobe_pages(pdf, settings, deadline())
    assert settings.client_secret not in caplog.text
    assert "X-Amz-Signature" not in caplog.text


def test_a_file_that_adobe_never_takes_is_read_with_pypdf(
    settings: AdobeSettings, pdf: Path, server: LoopbackServer[AdobeStandin], tmp_path: Path
) -> None:
    error = '{"error": {"code": "DISQUALIFIED_PAGE_LIMIT", "message": "too many pages"}}'
    server.fault("status", status=400, path="/operation/extractpdf", body=error)
    text = extract_text(
        ArxivId(base="1706.03762", version=7),
        pdf,
        storage=FolderStorage(tmp_path / "kept"),
        adobe=settings,
        deadline=deadline(),
    )
    assert text.extractor == "pypdf"
    assert PAPER.listed[0].split()[-1] in text.pages[0]


def test_a_second_attempt_spends_no_second_transaction(
    settings: AdobeSettings, pdf: Path, server: LoopbackServer[AdobeStandin], tmp_path: Path
) -> None:
    storage, paper = FolderStorage(tmp_path / "kept"), ArxivId(base="1706.03762", version=7)
    first = extract_text(paper, pdf, storage=storage, adobe=settings, deadline=deadline())
    asked = len(server.requests)
    assert kept_text(paper, tmp_path, storage=storage, adobe=settings) == first
    assert len(server.requests) == asked


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        ("DISQUALIFIED_PAGE_LIMIT", True),
        ("QUOTA_EXCEEDED", False),  # next month Adobe takes it
    ],
)
def test_adobe_is_not_asked_again_for_a_file_that_it_never_takes(
    code: str, kept: bool, settings: AdobeSettings, pdf: Path, server: LoopbackServer[AdobeStandin], tmp_path: Path
) -> None:
    error = f'{{"error": {{"code": "{code}", "message": "no"}}}}'
    server.fault("status", status=429 if code == "QUOTA_EXCEEDED" else 400, path="/operation/", body=error)
    storage, paper = FolderStorage(tmp_path / "kept"), ArxivId(base="1706.03762", version=7)
    assert extract_text(paper, pdf, storage=storage, adobe=settings, deadline=deadline()).extractor == "pypdf"
    found = kept_text(paper, tmp_path, storage=storage, adobe=settings)
    assert (found is not None) is kept
    assert found is None or found.extractor == "pypdf"


@pytest.mark.parametrize("content", ["blank", "broken"])
def test_a_paper_without_text_is_sent_to_adobe_once(
    content: str, settings: AdobeSettings, pdf: Path, server: LoopbackServer[AdobeStandin], tmp_path: Path
) -> None:
    from pypdf import PdfWriter

    pdf.write_bytes(b"%PDF-1.7 broken")
    if content == "blank":
        writer = PdfWriter()
        writer.add_blank_page(width=600, height=800)
        writer.write(pdf)
    storage, paper = FolderStorage(tmp_path / "kept"), ArxivId(base="1706.03762", version=7)
    with pytest.raises(PaperUnreadable):
        extract_text(paper, pdf, storage=storage, adobe=settings, deadline=deadline())
    assert server.requests
    server.clear()
    with pytest.raises(PaperUnreadable, match="holds no text"):
        kept_text(paper, tmp_path, storage=storage, adobe=settings)
    assert server.requests == ()


@pytest.mark.parametrize("kept", ["", "{", "[]", '["page"]', '{"pages": [1]}', '{"pages": null}', "\udcff"])
def test_a_kept_text_of_another_form_is_as_if_there_were_none(
    kept: str, settings: AdobeSettings, tmp_path: Path
) -> None:
    paper, source = ArxivId(base="1706.03762", version=7), tmp_path / "source"
    source.write_bytes(kept.encode("utf-8", "surrogateescape"))
    storage = FolderStorage(tmp_path / "kept")
    storage.put(f"papers/1706.03762/v7/text-{FORM}.adobe.json", source, "application/json")
    assert kept_text(paper, tmp_path, storage=storage, adobe=settings) is None


@pytest.mark.parametrize(("region", "host"), [("us", "pdf-services-ue1.adobe.io"), ("eu", "pdf-services-ew1.adobe.io")])
def test_a_region_is_asked_at_its_own_address(region: str, host: str, settings: AdobeSettings) -> None:
    services = service._services(replace(settings, url=None, region=region))
    config = services._PDFServices__executionContext.client_config
    assert config.get_pdf_services_uri() == f"https://{host}"


def test_a_paper_without_text_is_unreadable(tmp_path: Path) -> None:
    from pypdf import PdfWriter

    writer = PdfWriter()
    writer.add_blank_page(width=600, height=800)
    writer.write(tmp_path / "blank.pdf")
    with pytest.raises(PaperUnreadable, match=r"the PDF of 1706\.03762v7 holds no text"):
        extract_text(
            ArxivId(base="1706.03762", version=7),
            tmp_path / "blank.pdf",
            storage=FolderStorage(tmp_path / "kept"),
            adobe=None,
            deadline=deadline(),
        )
