"""Finds the sections of a paper in its extracted text. Pure.

A line is a heading when it is, number aside, one of the titles that nearly every paper uses; or, after the first such
title, when it carries the number that comes next. Subsections stay inside their section. A text without any heading
(a letter, a scan) has its pages for sections.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

MAX_HEADING: Final = 80
"""Characters of a line that can still be a heading."""
MAX_WORDS: Final = 10


class Kind(Enum):
    """What a section is for, in the order in which an abstract needs them."""

    FRONT = auto()
    """Title, authors, and whatever stands before the first heading."""
    ABSTRACT = auto()
    INTRODUCTION = auto()
    CONCLUSION = auto()
    """Discussion, limitations, conclusions."""
    RESULTS = auto()
    METHODS = auto()
    BODY = auto()
    BACKGROUND = auto()
    """Related work, preliminaries."""
    APPENDIX = auto()
    ASIDE = auto()
    """References, acknowledgements, funding: nothing of it belongs into an abstract."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section; the heading as printed, empty for what stands before the first one."""

    heading: str
    kind: Kind
    text: str

    @property
    def name(self) -> str:
        """What people call it."""
        return self.heading or "(beginning)"


_TITLES: Final = (
    (Kind.ABSTRACT, r"abstract"),
    (Kind.INTRODUCTION, r"(?:general )?introduction(?: and [a-z ]+)?|motivation|overview"),
    (
        Kind.BACKGROUND,
        r"(?:background and |preliminaries and )?(?:related|previous|prior) works?|(?:theoretical )?background|"
        r"preliminaries|notations?(?: and [a-z ]+)?|literature review|state of the art",
    ),
    (
        Kind.METHODS,
        r"(?:the |our |proposed )?(?:methods?|methodology|approach|model|algorithm)|(?:materials?|data) and methods?|"
        r"methods and (?:materials|data)|experimental (?:set-?up|methods?|procedures?)|data|datasets?|observations|"
        r"apparatus(?: and [a-z ]+)?",
    ),
    (
        Kind.RESULTS,
        r"(?:main |experimental |numerical |empirical )?results(?: and [a-z ]+)?|experiments?(?: and results)?|"
        r"(?:empirical )?evaluation|findings|applications",
    ),
    (
        Kind.CONCLUSION,
        r"(?:discussions?|summary|conclusions?|limitations)(?:,? (?:and|&) [a-z ]+)?|"
        r"(?:concluding|final|closing) remarks|remarks|outlook|future work|broader impacts?",
    ),
    (
        Kind.ASIDE,
        r"references(?: and notes)?|bibliography|(?:literature|works) cited|acknowledge?ments?|funding|"
        r"author contributions?(?: statement)?|(?:conflicts?|declaration) of (?:competing )?interests?|"
        r"competing interests|(?:data|code)(?: and code)? availability(?: statement)?|ethics statement",
    ),
    (Kind.APPENDIX, r"appendi(?:x|ces)\b.*|(?:supplementary|supplemental|supporting) (?:materials?|information|text)"),
)
_KNOWN: Final = tuple((kind, re.compile(rf"(?:{pattern})\.?:?", re.I)) for kind, pattern in _TITLES)
_HINTS: Final = (
    (Kind.BACKGROUND, re.compile(r"\b(?:related work|background|preliminar|review)", re.I)),
    (Kind.METHODS, re.compile(r"\b(?:method|approach|apparatus|set-?up|algorithm|model|architecture|theory)", re.I)),
    (Kind.RESULTS, re.compile(r"\b(?:result|experiment|evaluation|finding|measurement|analysis)", re.I)),
    (Kind.CONCLUSION, re.compile(r"\b(?:discussion|conclusion|limitation|outlook|remarks)", re.I)),
)
_WORDS_OF_TABLES: Final = frozenset({Kind.BACKGROUND, Kind.METHODS, Kind.RESULTS})
"""Where sections have numbers, "Model" or "Data" alone in a line is the head of a table, not of a section."""
_NUMBERED: Final = re.compile(
    r"(?:section\s+)?(?P<number>\d{1,2}|[IVX]{1,5}|[A-Z])(?:\.|:|\))?\s+(?P<title>\S.*)", re.I
)
_SENTENCE: Final = re.compile(r"(?:We|It|This|These|There|If|When|Let|Then|As|All|Each|No)\b")
_RUN_IN: Final = re.compile(r"(abstract)\s*[.:\u2013\u2014-]+\s*(?=\S)", re.I)
_SMALL_CAPITALS: Final = re.compile(r"\b([A-Z]) ([A-Z]{2,})\b")
_ROMAN: Final = {"I": 1, "V": 5, "X": 10}


def sections_of(pages: Sequence[str]) -> tuple[Section, ...]:
    """The paper's sections in their order; nothing of the text is lost but the headings' own lines."""
    reader = _Reader()
    for page in pages:
        for line in page.split("\n"):
            reader.read(line)
    found = reader.end()
    if all(not section.heading for section in found):
        numbered = enumerate(pages, 1)
        found = [
            Section(heading=f"page {number}", kind=Kind.BODY, text=page) for number, page in numbered if page.strip()
        ]
    return _without_false_asides(found)


class _Reader:
    """Reads line by line and knows which number the next heading must have."""

    def __init__(self) -> None:
        self._sections: list[Section] = []
        self._heading, self._kind = "", Kind.FRONT
        self._lines: list[str] = []
        self._number = 0
        self._letter = ""
        """Of the latest appendix; they begin when the references or an appendix were seen."""
        self._begun = self._ending = False

    def read(self, line: str) -> None:
        if run_in := _RUN_IN.match(line):
            self._open(run_in[1], Kind.ABSTRACT)
            line = line[run_in.end() :]
        elif (kind := self._kind_of(line.strip())) is not None:
            self._open(line.strip(), kind)
            return
        self._lines.append(line)

    def end(self) -> list[Section]:
        self._close()
        return self._sections

    def _open(self, heading: str, kind: Kind) -> None:
        self._close()
        self._heading, self._kind = heading, kind
        self._begun = True
        self._ending = self._ending or kind in (Kind.ASIDE, Kind.APPENDIX)

    def _close(self) -> None:
        text = "\n".join(self._lines).strip()
        if text or self._heading:
            self._sections.append(Section(heading=self._heading, kind=self._kind, text=text))
        self._lines = []

    def _kind_of(self, line: str) -> Kind | None:
        """The kind of section that the line opens; None when it is no heading."""
        if not 3 < len(line) <= MAX_HEADING or len(line.split()) > MAX_WORDS:
            return None
        known = _known(line)
        if known in _WORDS_OF_TABLES and self._number:
            return None
        if known is not None:
            return Kind.APPENDIX if self._in_appendix and known is not Kind.ASIDE else known
        match = _NUMBERED.fullmatch(line)
        return self._numbered(match["number"], match["title"]) if match is not None else None

    def _numbered(self, number: str, title: str) -> Kind | None:
        """The same of a line that begins with a number or letter."""
        known = _known(title)
        if known is None and not (self._begun and _is_title(title)):
            return None
        if self._ending and number.isalpha() and (known is not None or self._is_next_letter(number)):
            self._letter = number
            return Kind.APPENDIX
        value = _value(number)
        if value is None or (known is None and value != self._number + 1):
            return None
        self._number = value
        return known or next((kind for kind, hint in _HINTS if hint.search(title)), Kind.BODY)

    @property
    def _in_appendix(self) -> bool:
        return self._kind is Kind.APPENDIX

    def _is_next_letter(self, letter: str) -> bool:
        return letter == (chr(ord(self._letter) + 1) if self._letter else "A")


def _known(title: str) -> Kind | None:
    plain = _SMALL_CAPITALS.sub(r"\1\2", title)
    return next((kind for kind, pattern in _KNOWN if pattern.fullmatch(plain) and title[:1].isupper()), None)


def _is_title(title: str) -> bool:
    """Whether the words after a number look like a title, and not like an item of a list or a table of contents."""
    return title[0].isupper() and title[-1] not in ".,;:-" and not title[-1].isdigit() and not _SENTENCE.match(title)


def _value(number: str) -> int | None:
    if number.isdecimal():
        return int(number)
    digits = [_ROMAN.get(letter) for letter in number]
    if None in digits:
        return None
    known = [digit for digit in digits if digit is not None]
    return sum(-one if one < later else one for one, later in zip(known, [*known[1:], 0], strict=True))


def _without_false_asides(sections: Sequence[Section]) -> tuple[Section, ...]:
    """Asides that hold more than half of the text were misread; then they are ordinary sections."""
    asides = sum(len(section.text) for section in sections if section.kind is Kind.ASIDE)
    if asides * 2 <= sum(len(section.text) for section in sections):
        return tuple(sections)
    return tuple(
        Section(heading=one.heading, kind=Kind.BODY, text=one.text) if one.kind is Kind.ASIDE else one
        for one in sections
    )
