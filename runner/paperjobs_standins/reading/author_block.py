"""Puts people and affiliation lines together, for the layouts that papers use.

Labelled: marks after names point at numbered lines or footnotes. Grouped: the lines below a group of names are theirs;
in the lists of some collaborations the lines above them are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from paperjobs_standins.reading.affiliation import Institution, institutions_in, names_institution
from paperjobs_standins.reading.people import SYMBOLS, Person, guessed_people, is_collaboration, listed_people, mark_of
from paperjobs_standins.reading.prompt import Manuscript
from paperjobs_standins.reading.sentences import places_in_sentences

_BODY = re.compile(
    r"^\W*(?:abstract\b|a b s t r a c t|(?:1|I)\.?\s+introduction\b|introduction\s*$)", re.IGNORECASE | re.MULTILINE
)
_BACK = re.compile(
    r"^\W*(?:\d+\.?\s+)?(?:acknowledge?ments?|references|bibliography)\b.{0,3}$", re.IGNORECASE | re.MULTILINE
)
_NO_AFFILIATION = re.compile(
    r"equal|contribut|work (?:was )?(?:performed|done)|(?:current|present|permanent) address|now at|visiting|support|"
    r"grant|deceased|preliminary|appeared|proceedings|correspond",
    re.IGNORECASE,
)
_NOISE = re.compile(
    r"\{[^}]*\}\s*@\s*\S+|\S*@\S+|\be-?mails?\b:?|\((?:dated|received|submitted)[^)]*\)|\([^)]*collaborations?\s*\)|"
    r"^.*\bcollaborations?\s*$|\bcorrespondence to:.*",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_LIST_OF_NAMES = 5
"""So many names in initials on a page are an author list."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """One author at one institution, with the line that says so."""

    author: str
    institution: Institution
    evidence: str
    page: int
    """From 1."""


@dataclass(frozen=True, kw_only=True)
class AuthorBlock:
    """All that the text says about who works where."""

    authors: tuple[str, ...]
    links: tuple[Link, ...]


def read_author_block(manuscript: Manuscript) -> AuthorBlock:
    """Read the author block, wherever in the paper it is."""
    names = [name for name in manuscript.authors if not is_collaboration(name)]
    first = manuscript.pages[0] if manuscript.pages else ""
    body = _BODY.search(first)
    front, foot = (first[: body.start()], first[body.end() :]) if body else (first, "")
    people = listed_people(front, names)
    if names and len(people) * 2 >= len(names):
        return _read(front, people, foot, page=1, known=names)
    for number, page in _list_pages(manuscript.pages):
        people = listed_people(page, names) if names else guessed_people(page)
        if people:
            return _read(page, people, "", page=number, known=names)
    people = people or guessed_people(front)
    return _read(front, people, foot, page=1, known=names)


def _list_pages(pages: Sequence[str]) -> list[tuple[int, str]]:
    """Pages that hold an author list, the fullest first, with acknowledgements and references cut away."""
    candidates = []
    for number, page in enumerate(pages, start=1):
        back = _BACK.search(page)
        text = page[: back.start()] if back else page
        size = len(guessed_people(text))
        if size >= _LIST_OF_NAMES:
            candidates.append((size, number, text))
    return [(number, text) for _, number, text in sorted(candidates, reverse=True)]


def _read(text: str, people: list[Person], foot: str, *, page: int, known: Sequence[str]) -> AuthorBlock:
    if not people:
        return AuthorBlock(authors=tuple(known), links=())
    notes = _notes(text[people[-1].after :], foot, {mark for one in people for mark in one.marks})
    labelled = any(mark.isalnum() for mark in notes)
    groups = _groups(text, people)
    links: list[Link] = []
    for number, group in enumerate(groups):
        shared = _around(text, groups, number)
        for person in group:
            lines = [notes[mark] for mark in person.marks if mark in notes]
            if not lines and not (labelled and any(mark.isalnum() for mark in person.marks)):
                lines = shared
            links += [
                Link(author=person.name, institution=institution, evidence=line, page=page)
                for line in lines
                for institution in institutions_in(line)
            ]
    names = tuple(known) or tuple(one.name for one in people)
    if not links:
        links = [
            Link(author=name, institution=institution, evidence=line, page=page)
            for name, line in places_in_sentences(f"{text}\n{foot}", names)
            for institution in institutions_in(line)
        ]
    return AuthorBlock(authors=names, links=tuple(links))


def _groups(text: str, people: Sequence[Person]) -> list[list[Person]]:
    """People with nothing between them but separators."""
    groups: list[list[Person]] = []
    for person in people:
        between = text[groups[-1][-1].after : person.start] if groups else "start"
        if re.fullmatch(r"[\s,;.·•&]*(?:and)?[\s,]*", between):
            groups[-1].append(person)
        else:
            groups.append([person])
    return groups


def _around(text: str, groups: list[list[Person]], number: int) -> list[str]:
    """The affiliation lines below a group of people, or above it where the text puts them there."""
    bounds = [0, *(group[-1].after for group in groups)]
    above = _lines(text[bounds[number] : groups[number][0].start])
    end = groups[number + 1][0].start if number + 1 < len(groups) else len(text)
    below = _lines(text[groups[number][-1].after : end])
    first_above = _lines(text[: groups[0][0].start])
    last_below = _lines(text[groups[-1][-1].after :])
    heads = bool(first_above) and not last_below
    return above if heads else below


def _lines(text: str) -> list[str]:
    """Affiliation lines of a stretch of text, addresses joined to the institution they follow."""
    lines: list[str] = []
    for raw in _NOISE.sub(" ", text).splitlines():
        line = raw.strip(" ,;")
        if not line or line[0] in SYMBOLS:
            continue
        if lines and not (names_institution(line) and names_institution(lines[-1])):
            lines[-1] = f"{lines[-1]}, {line}"
        else:
            lines.append(line)
    return [line for line in lines if names_institution(line)]


def _notes(after: str, foot: str, marks: Iterable[str]) -> dict[str, str]:
    """The affiliation that each mark points at: numbered or lettered lines, then footnotes with a symbol."""
    used = set(marks)
    counted = _label_run(used)
    notes = _labelled(after, counted)
    notes |= {mark: line for mark, line in _labelled(foot, counted).items() if mark not in notes}
    for match in re.finditer(rf"([{SYMBOLS}])\s?([^{SYMBOLS}]{{3,400}})", f"{after}\n{foot}"):
        mark = mark_of(match[1])
        text = " ".join(re.split(r"\be-?mail\b|\S+@|\n\d+\s*$", match[2], flags=re.IGNORECASE)[0].split())
        if mark in used and mark not in notes and not _NO_AFFILIATION.search(text) and institutions_in(text):
            notes[mark] = text
    return {mark: line for mark, line in notes.items() if institutions_in(line)}


def _label_run(marks: set[str]) -> list[str]:
    """The labels to look for, in order: letters or numbers from the first to one past the last that a name carries."""
    letters = sorted(mark for mark in marks if mark.isalpha())
    numbers = [int(mark) for mark in marks if mark.isdigit()]
    run = [chr(code) for code in range(ord("a"), ord(letters[-1]) + 2)] if letters else []
    return run + [str(number) for number in range(1, max(numbers, default=-1) + 2)]


def _labelled(text: str, labels: Sequence[str]) -> dict[str, str]:
    """Lines that begin with the labels, which must come in their order; in run-together text too."""
    places: list[tuple[str, int, int]] = []
    position = 0
    for label in labels:
        pattern = re.compile(rf"(?:^|(?<=[\s;.,)]))\(?{re.escape(label)}[.)]?\s?(?=[A-ZÀ-Þ\"“])", re.MULTILINE)
        for match in pattern.finditer(text, position):
            # Headings are numbered too: the line must go on to name an institution.
            if names_institution(_first_sentence(text[match.end() : match.end() + 200])):
                places.append((label, match.start(), match.end()))
                position = match.end()
                break
    found = {}
    for index, (label, _, begin) in enumerate(places):
        end = places[index + 1][1] if index + 1 < len(places) else len(text)
        entry = _NOISE.sub(" ", text[begin:end])
        entry = re.split(rf"\n\s*\n|[{SYMBOLS}]|\n\d+\s*$", entry)[0]
        found[label] = " ".join(entry.split()).strip(" ;,.")
    return found


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[a-z]{3})\.\s", text)[0]
