"""Repairs the text that comes out of a PDF, and makes any text fit to be stored. Pure.

LaTeX draws accented letters as two glyphs and breaks words at line ends; PostgreSQL refuses NUL and lone surrogates.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_COMBINING: Final = {
    "\u00b4": "\u0301",  # acute
    "\u02ca": "\u0301",
    "\u02cb": "\u0300",  # grave
    "\u00a8": "\u0308",  # diaeresis
    "\u02c6": "\u0302",  # circumflex
    "\u02dc": "\u0303",  # tilde
    "\u02c7": "\u030c",  # caron
    "\u00b8": "\u0327",  # cedilla
    "\u02db": "\u0328",  # ogonek
    "\u02d8": "\u0306",  # breve
    "\u02d9": "\u0307",  # dot above
    "\u02da": "\u030a",  # ring
    "\u02dd": "\u030b",  # double acute
    "\u00af": "\u0304",  # macron
}
_DOTTED: Final = {"\u0131": "i", "\u0237": "j"}
"""LaTeX puts accents on dotless letters."""
_ACCENT: Final = f"[{''.join(_COMBINING)}]"
_STRANDED: Final = re.compile(rf"(?<=\b[A-Z]) (?={_ACCENT})")
_BEFORE_LETTER: Final = re.compile(rf"({_ACCENT})([^\W\d_])")
_BEFORE_SPACE: Final = re.compile(rf"({_ACCENT}) ([^\W\d_])")
_AFTER_LETTER: Final = re.compile(rf"([^\W\d_])({_ACCENT})")
_UNSTORABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_BROKEN_WORD: Final = re.compile(r"(?<=[^\W\d_])-\n(?=[^\W\d_A-Z])")


def storable(text: str) -> str:
    """The text without what a database or JSON parser refuses: NUL, control characters, lone surrogates."""
    return _UNSTORABLE.sub("", text)


def one_line(text: str) -> str:
    """Storable text with every run of white space made one space."""
    return " ".join(storable(text).split())


def clean_page(text: str) -> str:
    """One page of PDF text: accents put together, words broken at line ends joined, NFKC, storable."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(r"\x02\n?", "", text)  # pdfium's mark for a hyphen at a line's end
    text = unicodedata.normalize("NFKC", _join_accents(text))
    text = _BROKEN_WORD.sub("", storable(text).replace("\u00ad", ""))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _join_accents(text: str) -> str:
    text = _STRANDED.sub("", text)
    # In this order: an accent between two letters is the second one's ("M¨uller"), one at a word's end the last one's.
    text = _BEFORE_LETTER.sub(lambda match: _composed(match[2], match[1]) or match[0], text)
    text = _AFTER_LETTER.sub(lambda match: _composed(match[1], match[2]) or match[0], text)
    return _BEFORE_SPACE.sub(lambda match: _composed(match[2], match[1]) or match[0], text)


def _composed(letter: str, accent: str) -> str | None:
    """The one character that letter and accent make; None when there is no such character."""
    base = _DOTTED.get(letter, letter)
    composed = unicodedata.normalize("NFC", base + _COMBINING[accent])
    return composed if len(composed) == 1 else None
