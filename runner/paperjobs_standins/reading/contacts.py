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
_ONE = re.compile(rf"([\w.+-]+)@({_HOST})")
_SPELT = re.compile(r"([\w.+-]+)\s?[\[(]at[\])]\s?([\w-]+(?:\s?[\[(]dot[\])]\s?[\w-]+)+)", re.I)
_ORCID = re.compile(r"(\d{4})-(\d{4})-(\d{4})-(\d{3}[\dX])")
_CORRESPONDING = re.compile(
    rf"(?P<mark>[{SYMBOLS}])?\s?(?:corresponding authors?|correspondence(?: to)?|to whom correspondence[^:.\n]{{0,40}})"
    r"(?P<rest>[^\n]{0,200}(?:\n[^\n]{0,120})?)",
    re.I,
)


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
    scores = [_fit(plain(local), [word for word in re.split(r"[\s.\-]+", plain(name)) if word]) for name in names]
    best = max(scores, default=0)
    return scores.index(best) if best and scores.count(best) == 1 else None


def _fit(local: str, words: list[str]) -> int:
    letters = re.sub(r"[^a-z]", "", local)
    if not words or not letters:
        return 0
    given, family = words[:-1], words[-1]
    initials = "".join(word[0] for word in given)
    if letters in {"".join(given) + family, family + "".join(given), *(word + family for word in given)}:
        return 6
    if letters in {initials + family, family + initials, initials[:1] + family, family + initials[:1]}:
        return 5
    if letters == family or (len(family) > 3 and family in letters):
        return 4
    if letters in given:
        return 3
    return 2 if letters == initials + family[0] else 0


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
        rest = match["rest"]
        owners = {list(names).index(one.name) for one in listed_people(rest, names)}
        owners |= {owner for one in _addresses(rest) if (owner := _owner(one.partition("@")[0], names)) is not None}
        if not owners and match["mark"]:
            mark = mark_of(match["mark"])
            owners = {list(names).index(one.name) for one in people if mark in one.marks}
        for owner in owners:
            contacts[owner].corresponding = True
