"""Finds e-mail addresses, ORCID iDs and the corresponding author in a paper's pages, and whose they are. By rules.

An address belongs to the author whose name its local part is made of; an iD to the author named last before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from paperjobs_standins.reading.people import SYMBOLS, listed_people, mark_of, plain

_HOST = r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[a-z]{2,12}"
_GROUP = re.compile(rf"\{{([^{{}}@]+)\}}\s?@\s?({_HOST})")
_ONE = re.compile(rf"(?:(?<![\w.+-])\d(?=[a-z]{{3}}))?([\w.+-]+)@({_HOST})")
"""A single digit before letters is a footnote mark: superscripts are lost in the text."""
_SPELT = re.compile(r"([\w.+-]+)\s?[\[(]at[\])]\s?([\w-]+(?:\s?[\[(]dot[\])]\s?[\w-]+)+)", re.I)
_ORCID = re.compile(r"(\d{4})-(\d{4})-(\d{4})-(\d{3}[\dX])")
_CORRESPONDING = re.compile(
    rf"(?P<mark>[{SYMBOLS}])?\s?(?:corresponding authors?|correspondence(?: to)?|to whom correspondence[^:.\n]{{0,40}})"
    r"(?P<rest>[^\n]{0,200}(?:\n[^\n]{0,120})?)",
    re.I,
)
_SHORT = 4
"""Letters by which a shortened family name is known (malda of Maldacena)."""
_TRANSCRIBED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa", "ß": "ss"})
_SENTENCE_END = re.compile(r"(?<=[^\W\d_]{2})\.\s")
_OTHERS = re.compile(r"(?:contributing|other|these) authors?\b", re.I)


@dataclass
class Contact:
    """What the paper prints about one author."""

    emails: list[str] = field(default_factory=list)
    orcid: str = ""
    corresponding: bool = False


def contacts_of(pages: Sequence[str], names: Sequence[str]) -> list[Contact]:
    """One for each of the names, in their order."""
    text = "\n".join(pages)
    contacts = [Contact() for _ in names]
    for address in _addresses(text):
        owner = _owner(address.partition("@")[0], names)
        if owner is not None and address not in contacts[owner].emails:
            contacts[owner].emails.append(address)
    _give_orcids(text, names, contacts)
    _mark_corresponding(text, names, contacts)
    return contacts


def _addresses(text: str) -> list[str]:
    found = [
        f"{local.strip()}@{host}" for locals_, host in _GROUP.findall(text) for local in re.split(r"[,;|]", locals_)
    ]
    rest = _GROUP.sub(" ", text)
    found += [f"{local}@{host}" for local, host in _ONE.findall(rest)]
    spelt = ((local, re.sub(r"\s?[\[(]dot[\])]\s?", ".", host, flags=re.I)) for local, host in _SPELT.findall(rest))
    return list(dict.fromkeys([*found, *(f"{local}@{host}" for local, host in spelt)]))


def _owner(local: str, names: Sequence[str]) -> int | None:
    """The author whose name fits the local part best, when one does better than all others."""
    scores = [max(_fit(plain(local), _words(form)) for form in (name, name.translate(_TRANSCRIBED))) for name in names]
    best = max(scores, default=0)
    return scores.index(best) if best and scores.count(best) == 1 else None


def _words(name: str) -> list[str]:
    words = (re.sub(r"[^a-z]", "", word) for word in re.split(r"[\s.\-]+", plain(name)))
    return [word for word in words if word]


def _fit(local: str, words: list[str]) -> int:
    """How well a local part goes with a name: 6 for all of it, 1 for a shortened family name, 0 for not at all."""
    letters = re.sub(r"[^a-z]", "", local)
    if not words or not letters:
        return 0
    given, family = words[:-1], words[-1]
    initials, first = "".join(word[0] for word in given), "".join(given)
    parts = [part for part in re.split(r"[^a-z]+", local) if part]
    shortened = (letters, letters.removeprefix(initials[:1]))
    kinds = (
        (6, letters in {first + family, family + first, *(word + family for word in given)}),
        (5, letters in {initials + family, family + initials, initials[:1] + family, family + initials[:1]}),
        (4, letters == family or (len(family) > 3 and family in letters)),
        (4, len(parts) > 1 and any(part in words for part in parts) and _all_of_name(parts, words)),
        (3, letters in given or letters == first),
        (2, letters == initials + family[0]),
        (1, any(len(one) >= _SHORT and family.startswith(one) for one in shortened)),
    )
    return next((score for score, fits in kinds if fits), 0)


def _all_of_name(parts: list[str], words: list[str]) -> bool:
    """Whether each part is a word of the name, or initials in a row (jc of João Carlos dos Santos)."""
    initials = "".join(word[0] for word in words)
    return all(part in words or part in initials for part in parts)


def _give_orcids(text: str, names: Sequence[str], contacts: list[Contact]) -> None:
    people = listed_people(text, names)
    for match in _ORCID.finditer(text):
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        near = listed_people(line, names) or [one for one in people if one.end <= match.start()]
        if near:
            contact = contacts[list(names).index(near[-1].name)]
            contact.orcid = contact.orcid or match[0]


def _mark_corresponding(text: str, names: Sequence[str], contacts: list[Contact]) -> None:
    people = listed_people(text, names)
    for match in _CORRESPONDING.finditer(text):
        mark = mark_of(match["mark"]) if match["mark"] else ""
        owners = {list(names).index(one.name) for one in people if mark in one.marks}
        rest = _OTHERS.split(match["rest"])[0]
        # The sentence itself says who; only where it names nobody do those after it.
        for told in (_SENTENCE_END.split(rest.partition("\n")[0])[0], rest):
            owners = owners or _named_in(told, names)
        for owner in owners:
            contacts[owner].corresponding = True


def _named_in(text: str, names: Sequence[str]) -> set[int]:
    """Whose name or address the text holds."""
    owners = {list(names).index(one.name) for one in listed_people(text, names)}
    return owners | {owner for one in _addresses(text) if (owner := _owner(one.partition("@")[0], names)) is not None}
