"""Finds people in a stretch of text, and the affiliation and footnote marks printed after their names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

SYMBOLS = "*\u2217\u22c6\u2020\u2021\u00a7\u00b6\u2016\u2709#"
"""Footnote marks: asterisk (also as the operator and the star that LaTeX prints), daggers, section, envelope."""
STARS = "*\u2217\u22c6"
QUOTE = "'\u2019"

_PLAIN = str.maketrans("øłđıßæœð", "oldisaod")
_PARTICLE = r"(?:(?:de|del|della|di|van|von|der|den|dos|da|la|le|De|Van|Von|Abdel|El|Al)\s+){0,2}"
_INITIALS_NAME = re.compile(
    rf"(?<!\w)(?:[A-ZÀ-Þ]\.[\s\-]{{0,2}}){{1,3}}{_PARTICLE}[A-ZÀ-Þ][a-zß-ÿ{QUOTE}][\w{QUOTE}\-]*?"
    rf"(?: [A-ZÀ-Þ][a-zß-ÿ{QUOTE}\-]+)?(?=\d|[\s,;.]|[{SYMBOLS}]|$)"
)
_MARK = re.compile(rf"\d{{1,3}}(?![\dA-Za-zÀ-ÿ])|[{SYMBOLS}]|[a-z](?![A-Za-zÀ-ÿ.{QUOTE}])")
_BRACKETED = re.compile(r"\s?[(\[](\d{1,2}(?:\s*,\s*\d{1,2})*)[)\]]")


@dataclass(frozen=True, kw_only=True)
class Person:
    """A name at its place in the text."""

    name: str
    """As listed by arXiv where that is known, else as printed."""
    start: int
    end: int
    """Where the name ends, before its marks."""
    after: int
    """Where its marks end."""
    marks: tuple[str, ...] = ()


def plain(text: str) -> str:
    """Lower case without accents, letter for letter, so that places in it are places in the text."""
    return "".join((unicodedata.normalize("NFKD", letter)[0]).lower() for letter in text).translate(_PLAIN)


def mark_of(symbol: str) -> str:
    """The mark itself, whichever asterisk was printed."""
    return "*" if symbol in STARS else symbol


def is_collaboration(name: str) -> bool:
    """Whether a listed author is a group and not a person."""
    return re.search(r"\b(?:collaborations?|consortium|team|group)\b", name, re.IGNORECASE) is not None


def listed_people(text: str, names: Iterable[str]) -> list[Person]:
    """The first appearance of each listed name, in the order of the text, with marks."""
    folded = plain(text)
    found: list[Person] = []
    for name in names:
        for match in _pattern(name).finditer(folded):
            if not any(one.start < match.end() and match.start() < one.end for one in found):
                found.append(Person(name=name, start=match.start(), end=match.end(), after=match.end()))
                break
    return _with_marks(text, sorted(found, key=lambda one: one.start))


def guessed_people(text: str) -> list[Person]:
    """Everything that looks like `A. B. Name`, with marks; for collaborations, whose members arXiv does not list."""
    found = [
        Person(name=" ".join(match[0].split()), start=match.start(), end=match.end(), after=match.end())
        for match in _INITIALS_NAME.finditer(text)
    ]
    people = _with_marks(text, found)
    marked = [one for one in people if one.marks]
    # Where most names carry marks, those without are people in addresses (a Homer L. Dodge Department).
    return marked if len(marked) * 2 > len(people) else people


def _pattern(name: str) -> re.Pattern[str]:
    """The name as it may be printed: given names in full, as initials or left out; middle names added; over lines."""
    words = [word for word in re.split(r"[\s.]+", plain(name)) if word]
    *given, surname = words
    last = re.escape(surname) + r"(?![^\W\d_]{2})"
    if not given:
        return re.compile(rf"(?<!\w){last}")
    between = max(3, len(given) - 1)
    head = given[0].strip("-")
    first = rf"(?<!\w){re.escape(head[0])}(?:{re.escape(head[1:])})?" if len(head) > 1 else rf"(?<!\w){re.escape(head)}"
    middle = r"[\s.\-]*" if len(head) == 1 else r"[\s.\-]+"
    return re.compile(rf"{first}\.?{middle}(?:[\w{QUOTE}\-]+[\s.\-]+){{0,{between}}}?{last}")


def _with_marks(text: str, people: list[Person]) -> list[Person]:
    starts = {one.start for one in people}
    marked = []
    for index, one in enumerate(people):
        limit = people[index + 1].start if index + 1 < len(people) else len(text)
        marks, after = _marks(text, one.end, limit, starts)
        marked.append(Person(name=one.name, start=one.start, end=one.end, after=after, marks=marks))
    return marked


def _marks(text: str, position: int, limit: int, starts: set[int]) -> tuple[tuple[str, ...], int]:
    """Marks from `position` on. After a space or a comma a further number must not be the label of what follows."""
    if bracketed := _BRACKETED.match(text, position, limit):
        return tuple(re.findall(r"\d+", bracketed[1])), bracketed.end()
    marks: list[str] = []
    while True:
        gap = re.compile(r"\s*,?\s*").match(text, position)
        begin = gap.end() if gap else position
        match = _MARK.match(text, begin, limit)
        if match is None:
            return tuple(marks), position
        separator = text[position:begin]
        number = match[0].isdigit()
        if number and "\n" in separator and not _name_follows(text, match.end(), starts):
            return tuple(marks), position
        if match[0] in SYMBOLS and "\n" in separator and _note_begins(text, match.end(), starts):
            return tuple(marks), position
        if number and marks and marks[-1].isdigit() and "," not in separator:
            return tuple(marks), position
        if match[0].isalpha() and (separator.strip() == "" and separator != "" and not marks):
            return tuple(marks), position
        marks.append(mark_of(match[0]))
        position = match.end()


def _name_follows(text: str, position: int, starts: set[int]) -> bool:
    gap = re.compile(r"[\s,]*(?:and\s+)?").match(text, position)
    return (gap.end() if gap else position) in starts


def _note_begins(text: str, position: int, starts: set[int]) -> bool:
    """Whether a symbol at a line's beginning is the label of a note: words follow, and not the next name."""
    return re.compile(r" ?[^\W\d_]").match(text, position) is not None and not _name_follows(text, position, starts)
