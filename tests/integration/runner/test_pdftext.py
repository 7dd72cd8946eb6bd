"""Text of PDFs by pypdf in a limited child process."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter

from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import PaperUnreadable, Temporary
from paperjobs_runner.services import pdftext, pdftext_child
from paperjobs_runner.services.pdftext import pdf_pages
from paperjobs_standins.papers import pdf_of, sample_papers

PAPER = next(paper for paper in sample_papers() if paper.arxiv_id == "1706.03762")


def pages(content: bytes, folder: Path) -> list[str]:
    path = folder / "paper.pdf"
    path.write_bytes(content)
    return pdf_pages(path, Deadline.after(60))


def test_every_page_is_read_with_the_author_block(tmp_path: Path) -> None:
    found = pages(pdf_of(PAPER), tmp_path)
    assert len(found) >= 1
    for author in PAPER.listed:
        assert author.split()[-1] in found[0]


def test_a_pdf_that_opens_without_a_password_is_read_and_one_that_does_not_is_not(tmp_path: Path) -> None:
    (tmp_path / "source.pdf").write_bytes(pdf_of(PAPER))
    for password, readable in (("", True), ("secret", False)):
        writer = PdfWriter(clone_from=PdfReader(tmp_path / "source.pdf"))
        writer.encrypt(password, "owner", algorithm="RC4-128")
        writer.write(tmp_path / "locked.pdf")
        if readable:
            assert pdf_pages(tmp_path / "locked.pdf", Deadline.after(60))[0]
        else:
            with pytest.raises(PaperUnreadable, match="FileNotDecryptedError"):
                pdf_pages(tmp_path / "locked.pdf", Deadline.after(60))


@pytest.mark.parametrize("content", [b"", b"<html>", b"%PDF-1.7\nnothing", pdf_of(PAPER)[:2000]])
def test_what_is_not_a_whole_pdf_is_unreadable(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(PaperUnreadable, match="the PDF cannot be read"):
        pages(content, tmp_path)


@pytest.mark.parametrize(
    ("constant", "limit"),
    [
        ("MEMORY_BYTES = 320 << 20", "MEMORY_BYTES = 64 << 20"),
        ("CPU_S = 60", "CPU_S = 1"),
    ],
)
def test_a_pdf_that_needs_too_much_costs_only_the_child(
    constant: str, limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _change_child(constant, limit, tmp_path, monkeypatch)
    with pytest.raises(PaperUnreadable, match="needs more time or memory"):
        pages(_hungry(4_000_000), tmp_path)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_a_reader_that_is_killed_from_outside_does_not_fail_the_paper_for_good(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = "    import logging\n"
    _change_child(start, f"    import os, signal; os.kill(os.getpid(), signal.{name})\n{start}", tmp_path, monkeypatch)
    with pytest.raises(Temporary, match="ended by signal"):
        pages(pdf_of(PAPER), tmp_path)


@pytest.mark.parametrize(
    ("wall", "left", "says"),
    [
        (120.0, 0.5, "took longer than 0.5 s"),  # the run's deadline is nearer
        (0.25, 60.0, "took longer than 0.25 s"),
    ],
)
def test_a_reader_that_is_too_slow_says_how_long_it_had(
    wall: float, left: float, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = "    import logging\n"
    _change_child(start, f"    import time; time.sleep(60)\n{start}", tmp_path, monkeypatch)
    monkeypatch.setattr(pdftext, "WALL_S", wall)
    (tmp_path / "paper.pdf").write_bytes(pdf_of(PAPER))
    with pytest.raises(Temporary, match=says):
        pdf_pages(tmp_path / "paper.pdf", Deadline(at=left, clock=lambda: 0.0))


def test_the_child_and_its_run_fit_into_a_pod_of_512_mib() -> None:
    run = 150 << 20  # measured: the largest resident set of a run with every library in use
    assert pdftext_child.MEMORY_BYTES + run < 512 << 20


def test_a_pdf_without_end_gives_as_much_text_as_the_run_can_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = "".join(pages(pdf_of(PAPER), tmp_path))
    _change_child("MAX_CHARACTERS = 2_000_000", "MAX_CHARACTERS = 1_000", tmp_path, monkeypatch)
    assert "".join(pages(pdf_of(PAPER), tmp_path)) == whole[:1_000]


def _change_child(constant: str, limit: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Path(pdftext_child.__file__).read_text()
    assert constant in source
    (folder / "child.py").write_text(source.replace(constant, limit))
    monkeypatch.setattr(pdftext_child, "__file__", str(folder / "child.py"))


def _hungry(size: int) -> bytes:
    """A small PDF whose one page is a stream that grows to `size` bytes of text operators."""
    stream = zlib.compress(b"BT /F1 12 Tf " + b"(x) Tj " * (size // 7))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    body, offsets = b"%PDF-1.5\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return body + b"xref\n0 5\n0000000000 65535 f \n%strailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (
        table,
        len(body),
    )
