"""Checks Claude's abstract, and makes it plain text that is safe to store and to show. Pure.

Markup and links that the paper does not contain are a reason to ask once more (`complaint`); in an answer that is kept
all the same they are taken out and counted (`verified`). A link that stands in the paper may stay.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from paperjobs_runner.pipelines.llm_processing.answer import StructuredAbstract
from paperjobs_runner.textclean import one_line, storable

_LINK: Final = re.compile(
    r"(?:\b[a-z][a-z0-9+.-]{1,20}://|\bwww\.|\b(?:mailto|javascript|data):(?=\S))[^\s<>\"']+", re.I
)
_TAG: Final = re.compile(r"<(/?(?:[a-z]{2,}[0-9]?|[abipsu])\b[^<>]{0,300})>", re.I)
_MARKDOWN_LINK: Final = re.compile(r"!?\[([^\[\]]{0,300})\]\([^()\s]{0,500}\)")
_MARKS: Final = re.compile(r"\*\*|__(?=\S)|(?<=\S)__|`+|(?m:^[ \t]*(?:#{1,6}|[-*\u2022]|>)[ \t]+)")
_INVISIBLE: Final = re.compile(r"[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")
_REMOVED: Final = "[link removed]"


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The abstract as it may be stored, and how many things had to be taken out of it."""

    summary: str
    key_points: tuple[str, ...]
    methods: str
    results: str
    limitations: str
    dropped: int


def complaint(answer: StructuredAbstract, pages: Sequence[str]) -> str | None:
    """What is wrong with the answer, for Claude; None when nothing is."""
    known = _squashed("".join(pages))
    for name, text in _texts(answer):
        if foreign := [link for link in _links(text) if _squashed(link) not in known]:
            return f"{name} holds a link that is not in the paper: {foreign[0][:80]}"
        if _TAG.search(text) or _MARKDOWN_LINK.search(text) or _MARKS.search(text):
            return f"{name} must be plain text, but it holds markup"
    if not verified(answer, pages).summary:
        return "summary is empty"
    return None


def verified(answer: StructuredAbstract, pages: Sequence[str]) -> Verified:
    """The answer in plain text; its summary or key points may be left empty by what had to go."""
    cleaner = _Cleaner(_squashed("".join(pages)))
    points = (cleaner.clean(point) for point in answer.key_points)
    return Verified(
        summary=cleaner.clean(answer.summary),
        key_points=tuple(dict.fromkeys(point for point in points if point)),
        methods=cleaner.clean(answer.methods),
        results=cleaner.clean(answer.results),
        limitations=cleaner.clean(answer.limitations),
        dropped=cleaner.dropped,
    )


class _Cleaner:
    """Takes out what does not belong into plain text, and counts it."""

    def __init__(self, known: str) -> None:
        self._known = known
        self.dropped = 0

    def clean(self, text: str) -> str:
        text = _INVISIBLE.sub("", unicodedata.normalize("NFC", storable(text)))
        for line_up in (str, one_line):  # marks at the start of a line first
            text = line_up(text)
            while (cleaner := self._once(text)) != text:  # what was taken out may have stood inside of more of it
                text = cleaner
        return text

    def _once(self, text: str) -> str:
        text = self._counted(_MARKDOWN_LINK, r"\1", text)
        text = self._counted(_MARKS, "", text)
        text = self._counted(_TAG, "\u2039\\1\u203a", text)  # kept readable: <r> may be an average
        for link in _links(text):
            if _squashed(link) not in self._known:
                text = text.replace(link, _REMOVED)
                self.dropped += 1
        return text

    def _counted(self, pattern: re.Pattern[str], instead: str, text: str) -> str:
        text, times = pattern.subn(instead, text)
        self.dropped += times
        return text


def _texts(answer: StructuredAbstract) -> list[tuple[str, str]]:
    texts = {name: getattr(answer, name) for name in ("summary", "methods", "results", "limitations")}
    return [*texts.items(), *(("key_points", point) for point in answer.key_points)]


def _links(text: str) -> list[str]:
    found = (match[0].rstrip(".,;:!?)]}") for match in _LINK.finditer(text))
    return sorted(dict.fromkeys(found), key=len, reverse=True)


def _squashed(text: str) -> str:
    """Without white space and case: a link may be broken over two lines."""
    return "".join(text.split()).casefold()
