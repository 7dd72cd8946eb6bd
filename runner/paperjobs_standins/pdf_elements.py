"""Turns a PDF into what Adobe Extract gives: structuredData.json with elements in reading order, and the zip around it.

Adobe's elements are paragraphs, not lines. Here a paragraph ends where the type changes, where a line is set apart by
more than the usual distance, and where one is indented; short paragraphs in larger type get the path H1, the largest
type of page one Title.
"""

from __future__ import annotations

import io
import json
import re
import statistics
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

PAGE_LIMIT = 400
"""Adobe refuses longer PDFs (overview/limits.md)."""

INDENT = 6.0
"""Points by which a paragraph's first line stands to the right of the line above it."""


class PdfRefused(Exception):
    """Adobe would fail the job with this code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Piece(NamedTuple):
    """Text that pypdf reports in one go."""

    text: str
    size: float
    left: float
    baseline: float
    font: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """One printed line."""

    text: str
    size: float
    """Type size in points of the line's longest piece."""
    font: str
    left: float
    baseline: float
    page: int


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """Lines that belong together."""

    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """The lines joined, with words that were broken at a line's end put together."""
        text = ""
        for line in self.lines:
            part = line.text.strip()
            if re.search(r"[a-z][-\u00ad]$", text) and part[:1].islower():
                text = text[:-1] + part
            else:
                text = f"{text} {part}".strip()
        return text.replace("\u00ad", "")


def structured_data(pdf: bytes) -> bytes:
    """structuredData.json for this PDF; PdfRefused when Adobe would not take it."""
    from pypdf import PdfReader  # here, because it costs 0.4 s that a stand-in's start should not
    from pypdf.errors import FileNotDecryptedError, PyPdfError

    try:
        reader = PdfReader(io.BytesIO(pdf))
        if reader.is_encrypted and not reader.decrypt(""):
            raise PdfRefused("PROTECTED_PDF", "the file is protected by a password")
        if len(reader.pages) > PAGE_LIMIT:
            raise PdfRefused("DISQUALIFIED_PAGE_LIMIT", f"the file has more than {PAGE_LIMIT} pages")
        pages = [(page.mediabox, list(_lines(page, number))) for number, page in enumerate(reader.pages)]
    except FileNotDecryptedError as error:
        raise PdfRefused("PROTECTED_PDF", "the file is protected by a password") from error
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PdfRefused("BAD_PDF", "the input file is not a valid PDF") from error
    lines = [line for _, page in pages for line in page]
    usual = statistics.median([line.size for line in lines]) if lines else 10.0
    largest = max((line.size for line in lines if line.page == 0), default=usual)
    data = {
        "version": {"json_export": "188", "page_segmentation": "5", "schema": "1.1.0", "structure": "1.1"},
        "extended_metadata": {"page_count": len(pages), "is_encrypted": False, "language": "en"},
        "elements": list(_elements(_paragraphs(lines), usual, largest)),
        "pages": [
            {"page_number": number, "width": float(box.width), "height": float(box.height), "rotation": 0}
            for number, (box, _) in enumerate(pages)
        ],
    }
    return json.dumps(data, ensure_ascii=False).encode("utf-8", "replace")


def archive(structured: bytes) -> bytes:
    """The zip in which Adobe delivers structuredData.json."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("structuredData.json", structured)
    return file.getvalue()


def _lines(page: object, number: int) -> Iterator[Line]:
    pieces: list[_Piece] = []

    def visit(text: str, cm: list[float], tm: list[float], font: dict[str, object] | None, size: float) -> None:
        # The text matrix lies inside the current transformation: multiply to get points on the page.
        left = tm[4] * cm[0] + tm[5] * cm[2] + cm[4]
        baseline = tm[4] * cm[1] + tm[5] * cm[3] + cm[5]
        name = str((font or {}).get("/BaseFont", ""))
        pieces.append(_Piece(text, size * abs(tm[3] * cm[3]), left, baseline, name))

    page.extract_text(visitor_text=visit)  # type: ignore[attr-defined]
    current: list[_Piece] = []
    for piece in pieces:
        for part in re.split(r"(\n)", piece.text):
            if part == "\n":
                yield from _line(current, number)
                current = []
            elif part:
                current.append(piece._replace(text=part))
    yield from _line(current, number)


def _line(pieces: list[_Piece], number: int) -> Iterator[Line]:
    """One line of these pieces, or none when they are blank."""
    longest = max(pieces, key=lambda piece: len(piece.text.strip()), default=None)
    if longest is None or not longest.text.strip():
        return
    yield Line(
        text="".join(piece.text for piece in pieces),
        size=round(longest.size, 1),
        font=longest.font,
        left=pieces[0].left,
        baseline=longest.baseline,
        page=number,
    )


def _paragraphs(lines: Iterable[Line]) -> Iterator[Paragraph]:
    group: list[Line] = []
    for line in lines:
        if line.text.strip().isdecimal() and len(line.text.strip()) < 4:
            continue  # a page number; Adobe leaves headers and footers out
        if group and not _continues(group[-1], line):
            yield Paragraph(lines=tuple(group))
            group = []
        group.append(line)
    if group:
        yield Paragraph(lines=tuple(group))


def _continues(above: Line, below: Line) -> bool:
    return (
        above.page == below.page
        and abs(above.size - below.size) < 0.6
        and above.font == below.font
        and 0 < above.baseline - below.baseline < 1.6 * max(above.size, below.size)
        and below.left - above.left < INDENT
    )


def _elements(paragraphs: Iterable[Paragraph], usual: float, largest: float) -> Iterator[dict[str, object]]:
    counts: dict[str, int] = {}
    for paragraph in paragraphs:
        first = paragraph.lines[0]
        if first.page == 0 and first.size >= largest - 0.1 and largest > usual * 1.2:
            tag = "Title"
        elif first.size > usual * 1.1 and len(paragraph.text) < 120:
            tag = "H1"
        else:
            tag = "P"
        counts[tag] = counts.get(tag, 0) + 1
        suffix = f"[{counts[tag]}]" if counts[tag] > 1 else ""
        low = min(line.baseline for line in paragraph.lines)
        high = max(line.baseline + line.size for line in paragraph.lines)
        left = min(line.left for line in paragraph.lines)
        width = max(len(line.text) * line.size / 2 for line in paragraph.lines)
        yield {
            "Bounds": [round(value, 2) for value in (left, low, left + width, high)],
            "Font": {"embedded": True, "subset": True},
            "HasClip": False,
            "Lang": "en",
            "Page": first.page,
            "Path": f"//Document/{tag}{suffix}",
            "Text": paragraph.text + " ",
            "TextSize": first.size,
        }
