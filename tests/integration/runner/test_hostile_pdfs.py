"""PDFs that were made to hurt: each ends soon, as text or as a paper that cannot be read, and within its limits."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from paperjobs_runner.arxiv_id import ArxivId
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import PaperUnreadable
from paperjobs_runner.services import paper_text, pdftext_child
from paperjobs_runner.services.paper_text import extract_text
from paperjobs_runner.services.pdftext import pdf_pages
from paperjobs_runner.services.storage import FolderStorage

FONT: Final = b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
TEXT: Final = b"BT /F1 12 Tf 72 700 Td (%s) Tj ET"


def pdf(*objects: bytes, trailer: bytes = b"") -> bytes:
    """A PDF with these objects, numbered from 1; the first is the catalogue."""
    body, offsets = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    end = b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF"
    return body + end % (size, table, size, trailer, len(body))


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), entries, content)


def one_page(contents: bytes, *more: bytes) -> bytes:
    """A PDF of one page, whose contents are object 4."""
    return pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R " + FONT + b" >>",
        contents,
        *more,
    )


def many_pages(count: int, text: bytes) -> bytes:
    kids = b" ".join(b"%d 0 R" % (4 + index) for index in range(count))
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 3 0 R " + FONT + b" >>"
    return pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count),
        stream(TEXT % text),
        *[page] * count,
    )


def packed(content: bytes, repeated: int, times: int = 1) -> bytes:
    """A stream of the repeated content, which was compressed so often; never as large here as it will be there."""
    packer = zlib.compressobj(9)
    small = b"".join(packer.compress(content * 1_000) for _ in range(repeated // 1_000)) + packer.flush()
    for _ in range(times - 1):
        small = zlib.compress(small, 9)
    return stream(small, b"/Filter [" + b"/FlateDecode " * times + b"]")


HOSTILE: Final[dict[str, Callable[[], bytes]]] = {
    "a bomb of one gigabyte": lambda: one_page(packed(b" ", 1 << 30)),
    "a bomb in a bomb": lambda: one_page(packed(b"(x) Tj ", 100 << 20, times=2)),
    "pages that hold themselves": lambda: pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 1000000 >>"
    ),
    "a page tree 5,000 deep": lambda: pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        *[b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % (number + 3) for number in range(5_000)],
    ),
    "arrays in arrays": lambda: one_page(stream(b"[" * 1_000_000)),
    "dictionaries in dictionaries": lambda: pdf(b"<< /A " * 200_000),
    "contents that are themselves": lambda: one_page(b"4 0 R"),
    "a length without end": lambda: one_page(b"<< /Length 99999999999999999999 >>\nstream\nx\nendstream"),
    "a length that is itself": lambda: one_page(b"<< /Length 4 0 R >>\nstream\nx\nendstream"),
    "references in a circle": lambda: pdf(b"2 0 R", b"1 0 R"),
    "a table that points to itself": lambda: pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>", b"<< >>", trailer=b"/Prev 9 /XRefStm 9"
    ),
    "ten million operators": lambda: one_page(packed(b"q Q ", 10_000_000)),
    "no objects at all": lambda: b"%PDF-1.7\n" + b"\x00" * 1_000_000,
    "a start beyond the end": lambda: b"%PDF-1.7\nstartxref\n999999999999\n%%EOF",
    "objects in an object stream of itself": lambda: pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>", stream(b"2 0 ", b"/Type /ObjStm /N 1 /First 4 /Extends 2 0 R")
    ),
    "a predictor of absurd width": lambda: one_page(
        stream(
            zlib.compress(b"x" * 100),
            b"/Filter /FlateDecode /DecodeParms << /Predictor 12 /Columns 2000000000 /Colors 32 >>",
        )
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pdf_costs_its_child_alone_and_is_no_paper(name: str, tmp_path: Path) -> None:
    file = tmp_path / "paper.pdf"
    file.write_bytes(HOSTILE[name]())
    begun = time.monotonic()
    with suppress(PaperUnreadable):
        assert sum(map(len, pdf_pages(file, Deadline.after(170)))) <= pdftext_child.MAX_CHARACTERS
    assert time.monotonic() - begun < 2 * pdftext_child.CPU_S


def test_of_a_book_the_first_pages_are_read(tmp_path: Path) -> None:
    (tmp_path / "paper.pdf").write_bytes(many_pages(pdftext_child.MAX_PAGES + 50, b"Some text"))
    assert pdf_pages(tmp_path / "paper.pdf", Deadline.after(60)) == ["Some text"] * pdftext_child.MAX_PAGES


def test_text_that_grows_when_it_is_cleaned_stays_within_the_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ligature = "\ufdfa"  # 18 characters in NFKC
    pages = [ligature * pdftext_child.MAX_PAGE_CHARACTERS] * (pdftext_child.MAX_PAGES + 1)
    monkeypatch.setattr(paper_text, "pdf_pages", lambda *_: pages)
    text = extract_text(
        ArxivId(base="1706.03762", version=7),
        tmp_path / "paper.pdf",
        storage=FolderStorage(tmp_path / "kept"),
        adobe=None,
        deadline=Deadline.after(60),
    )
    assert len(text.pages) == pdftext_child.MAX_PAGES
    assert max(map(len, text.pages)) == pdftext_child.MAX_PAGE_CHARACTERS
    assert sum(map(len, text.pages)) <= pdftext_child.MAX_CHARACTERS


def test_the_child_has_nothing_of_ours_in_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "planted-secret")
    child = tmp_path / "child.py"
    child.write_text("import json, os\nprint(json.dumps([str(dict(os.environ))]))\n")
    monkeypatch.setattr(pdftext_child, "__file__", str(child))
    assert "planted-secret" not in pdf_pages(tmp_path / "paper.pdf", Deadline.after(60))[0]
