"""A paper's text: by Adobe when there are credentials, by pypdf otherwise and for files that Adobe will not take.

The text is kept beside the PDF, so that a second attempt spends no second Adobe transaction.
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
from paperjobs_runner.services.storage import Storage, storage_key
from paperjobs_runner.settings import AdobeSettings
from paperjobs_runner.textclean import clean_page

FORM: Final = 1
"""Version of the kept text; part of its key, so that a better clean-up does not meet older texts."""
MIN_LETTERS: Final = 100
"""Letters a paper has at least; fewer mean scanned pages without text."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PaperText:
    """The cleaned text of each page, and what extracted it."""

    pages: tuple[str, ...]
    extractor: str
    """adobe or pypdf."""


def paper_text(
    paper: ArxivId,
    pdf: Path,
    *,
    storage: Storage,
    adobe: AdobeSettings | None,
    deadline: Deadline,
    budgets: Allowances = NO_BUDGETS,
) -> PaperText:
    """The text of the paper whose PDF is `pdf`; raises PaperUnreadable when it has none."""
    preferred = "adobe" if adobe is not None else "pypdf"
    kept = pdf.with_name("text.json")
    if storage.get(_key(paper, preferred), kept) and (pages := _read(kept)):
        return PaperText(pages=pages, extractor=preferred)
    text = _extract(pdf, adobe, deadline, budgets)
    if sum(char.isalpha() for page in text.pages for char in page) < MIN_LETTERS:
        raise PaperUnreadable(f"the PDF of {paper} holds no text (scanned pages?)")
    kept.write_text(json.dumps(text.pages), encoding="ascii")
    storage.put(_key(paper, text.extractor), kept, "application/json")
    return text


def _extract(pdf: Path, adobe: AdobeSettings | None, deadline: Deadline, budgets: Allowances) -> PaperText:
    if adobe is not None:
        from paperjobs_runner.services.adobe import adobe_pages

        try:
            return _cleaned(adobe_pages(pdf, adobe, deadline, budgets), "adobe")
        except AdobeCannotRead as error:
            _log.warning("%s; reading it with pypdf", error)
    return _cleaned(pdf_pages(pdf, deadline), "pypdf")


def _cleaned(pages: list[str], extractor: str) -> PaperText:
    return PaperText(pages=tuple(clean_page(page) for page in pages), extractor=extractor)


def _read(kept: Path) -> tuple[str, ...]:
    """The kept pages; empty when the file is not what we wrote."""
    try:
        pages = json.loads(kept.read_bytes())
    except ValueError:
        return ()
    return tuple(pages) if isinstance(pages, list) and all(isinstance(page, str) for page in pages) else ()


def _key(paper: ArxivId, extractor: str) -> str:
    return storage_key(paper, f"text-{FORM}.{extractor}.json")
