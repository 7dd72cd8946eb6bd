"""Finds the paper and its author names in a prompt.

The runner sends `<authors>` with one name per line and `<paper>` with `<page number="1">` blocks; a prompt without
these tags is taken as one page of text.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass

_AUTHORS = re.compile(r"<authors>(.*?)</authors>", re.DOTALL)
_PAPER = re.compile(r"<paper\b[^>]*>(.*)</paper>", re.DOTALL)
_PAGE = re.compile(r"<page\b[^>]*>(.*?)</page>", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Manuscript:
    """A paper as the prompt gives it."""

    authors: tuple[str, ...]
    """Names from the arXiv record; may be a collaboration, may be empty."""
    pages: tuple[str, ...]


def manuscript_in(prompt: str) -> Manuscript:
    """The paper inside a prompt."""
    names = _AUTHORS.search(prompt)
    paper = _PAPER.search(prompt)
    text = paper[1] if paper else _AUTHORS.sub("", prompt)
    pages = _PAGE.findall(text) or [text]
    listed = [_bare(line) for line in names[1].splitlines()] if names else []
    return Manuscript(
        authors=tuple(name for name in listed if name),
        pages=tuple(unicodedata.normalize("NFKC", html.unescape(page)).replace("\u00ad\n", "") for page in pages),
    )


def _bare(line: str) -> str:
    """A name without the bullet or number that a list may put before it."""
    return unicodedata.normalize("NFKC", re.sub(r"^\s*(?:[-*•]|\d+[.)])\s*", "", html.unescape(line))).strip()
