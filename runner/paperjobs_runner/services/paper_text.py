"""A paper's text: by Adobe when there are credentials, by pypdf otherwise and for files that Adobe will not take.

The text is kept beside the PDF, so that no other run reads the PDF again or spends a second Adobe transaction. A file
that Adobe will never take is kept as what pypdf made of it, under the same key: Adobe is not asked again. A paper that
has no text is kept as such.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paperjobs_runner.arxiv_id import ArxivId
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import PaperUnreadable
from paperjobs_runner.services.adobe_errors import AdobeCannotRead
from paperjobs_runner.services.allowance import NO_BUDGETS, Allowances
from paperjobs_runner.services.pdftext import pdf_pages
from paperjobs_runner.services.pdftext_child import MAX_CHARACTERS, MAX_PAGE_CHARACTERS, MAX_PAGES
from paperjobs_runner.services.storage import Storage, storage_key
from paperjobs_runner.settings import AdobeSettings
from paperjobs_runner.textclean import clean_page, storable

FORM: Final = 2
"""Version of the kept text; part of its key, so that a better clean-up does not meet older texts."""
MIN_LETTERS: Final = 100
"""Letters a paper has at least; fewer mean scanned pages without text."""

MAX_KEPT_BYTES: Final = 13 * MAX_CHARACTERS
"""JSON in ASCII writes a character as up to twelve bytes."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PaperText:
    """The cleaned text of each page, and what extracted it."""

    pages: tuple[str, ...]
    extractor: str
    """adobe or pypdf."""


def kept_text(paper: ArxivId, folder: Path, *, storage: Storage, adobe: AdobeSettings | None) -> PaperText | None:
    """The text as an earlier run extracted it; None when none did. `folder` is for the file.

    Raises PaperUnreadable when that run found no text.
    """
    kept = folder / "text.json"
    if not storage.get(_key(paper, _preferred(adobe)), kept) or (text := _read(kept)) is None:
        return None
    return _with_letters(paper, text)


def extract_text(
    paper: ArxivId,
    pdf: Path,
    *,
    storage: Storage,
    adobe: AdobeSettings | None,
    deadline: Deadline,
    budgets: Allowances = NO_BUDGETS,
) -> PaperText:
    """The text of the paper whose PDF is `pdf`, now kept; raises PaperUnreadable when it has none."""
    kept_as, text = _preferred(adobe), None
    if adobe is not None:
        from paperjobs_runner.services.adobe import adobe_pages

        try:
            text = _cleaned(adobe_pages(pdf, adobe, deadline, budgets), "adobe")
        except AdobeCannotRead as error:
            _log.warning("%s; reading it with pypdf", error)
            kept_as = "adobe" if error.for_good else "pypdf"
    if text is None:
        try:
            text = _cleaned(pdf_pages(pdf, deadline), "pypdf")
        except PaperUnreadable:
            if kept_as == "adobe":  # neither can read it: Adobe need not be told again
                _keep(_key(paper, kept_as), PaperText(pages=(), extractor="pypdf"), pdf, storage)
            raise
    _keep(_key(paper, kept_as), text, pdf, storage)
    return _with_letters(paper, text)


def _keep(key: str, text: PaperText, pdf: Path, storage: Storage) -> None:
    file = pdf.with_name("text.json")
    file.write_text(json.dumps({"extractor": text.extractor, "pages": text.pages}), encoding="ascii")
    storage.put(key, file, "application/json")


def _with_letters(paper: ArxivId, text: PaperText) -> PaperText:
    if sum(char.isalpha() for page in text.pages for char in page) < MIN_LETTERS:
        raise PaperUnreadable(f"the PDF of {paper} holds no text (scanned pages?)")
    return text


def _cleaned(pages: list[str], extractor: str) -> PaperText:
    """Within the limits again: a cleaned page can be longer, since NFKC makes up to 18 characters of one."""
    room, cleaned = MAX_CHARACTERS, list[str]()
    for page in pages[:MAX_PAGES]:
        most = min(MAX_PAGE_CHARACTERS, room)
        cleaned.append(clean_page(page[:most])[:most])
        room -= len(cleaned[-1])
    return PaperText(pages=tuple(cleaned), extractor=extractor)


def _read(kept: Path) -> PaperText | None:
    """The kept text; None when the file is not what we wrote: whoever may write to the bucket may have changed it."""
    if kept.stat().st_size > MAX_KEPT_BYTES:
        return None
    try:
        value = json.loads(kept.read_bytes())
    except (ValueError, RecursionError):
        return None
    pages = value.get("pages") if isinstance(value, dict) else None
    if not isinstance(pages, list) or not all(isinstance(page, str) for page in pages):
        return None
    within = len(pages) <= MAX_PAGES and all(len(page) <= MAX_PAGE_CHARACTERS for page in pages)
    if not within or any(storable(page) != page for page in pages):
        return None
    return PaperText(pages=tuple(pages), extractor="adobe" if value.get("extractor") == "adobe" else "pypdf")


def _preferred(adobe: AdobeSettings | None) -> str:
    return "adobe" if adobe is not None else "pypdf"


def _key(paper: ArxivId, extractor: str) -> str:
    return storage_key(paper, f"text-{FORM}.{extractor}.json")
