"""Puts a paper's words into a prompt as data, so that they cannot pass for our own. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

TAGS: Final = ("paper", "page", "authors", "title", "abstract", "section", "vocabulary", "categories")
"""The tags with which our prompts enclose what is quoted."""

_TAG: Final = re.compile(rf"<(?=[\W_]{{0,8}}(?:{'|'.join(TAGS)})\b)", re.I)
"""With up to eight signs between, visible or not: what a reader takes for a tag counts, not what a parser does."""


def harmless(text: str) -> str:
    """The text with anything that looks like one of our own tags made plain, so that it cannot close the block."""
    return _TAG.sub("\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}", text)


def quoted_pages(pages: Sequence[str]) -> str:
    """The pages between <paper> and </paper>, numbered from 1."""
    body = "\n".join(f'<page number="{number}">\n{harmless(page)}\n</page>' for number, page in enumerate(pages, 1))
    return f"<paper>\n{body}\n</paper>"
