"""Checks Claude's answer about authors against the paper. Pure.

arXiv's list decides who the authors are, and in which order. An address or an iD that the paper does not print is
dropped and counted, one that two authors were given belongs to the first; nobody corresponds in a paper that does not
speak of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from paperjobs_runner.emails import email_key, emails_in
from paperjobs_runner.names import match_authors, squash
from paperjobs_runner.orcid import orcids_in, read_orcid
from paperjobs_runner.person_name import better_spelling, split_name
from paperjobs_runner.pipelines.author_extraction.answer import AnsweredPerson, AuthorsAnswer
from paperjobs_runner.store.findings import FoundPerson
from paperjobs_runner.textclean import one_line

_CORRESPONDENCE: Final = re.compile(
    r"correspond|\bcontact (?:author|person)|to whom|reprint requests|[\u2709\U0001f4e7]|\bautor(?:e|a)? (?:de|per)\b",
    re.I,
)
"""Words and signs with which papers name a corresponding author."""


@dataclass(frozen=True, kw_only=True)
class People:
    """The authors in arXiv's order, and how many things were answered that the paper does not print."""

    people: tuple[FoundPerson, ...]
    dropped: int


def people_of(answer: AuthorsAnswer, pages: Sequence[str], authors: Sequence[str]) -> People:
    """What of the answer stands in the paper."""
    checker = _Checker("\n".join(pages))
    matches = match_authors([one_line(one.name) for one in answer.authors], authors)
    answered = {index: one for one, index in zip(answer.authors, matches, strict=True) if index is not None}
    people = tuple(checker.person(name, answered.get(index)) for index, name in enumerate(authors))
    return People(people=people, dropped=checker.dropped + matches.count(None))


def people_by_name(authors: Sequence[str]) -> tuple[FoundPerson, ...]:
    """What the names alone tell."""
    return tuple(_named(name) for name in authors)


class _Checker:
    """Holds answers against one paper's text, and counts what it does not print."""

    def __init__(self, text: str) -> None:
        self._letters = squash(text)
        printed = [found.address for found in emails_in(text)]
        # A footnote's number loses its height in the text: "1malda@x.edu" is malda@x.edu, if that is what was answered.
        freed = [address[1:] for address in printed if re.match(r"\d[^\W\d_]{2}", address)]
        self._emails = {email_key(address): address for address in [*freed, *printed]}
        self._orcids = {found.orcid for found in orcids_in(text)}
        self._speaks_of_correspondence = _CORRESPONDENCE.search(text) is not None
        self._given: set[str] = set()
        self.dropped = 0

    def person(self, name: str, answered: AnsweredPerson | None) -> FoundPerson:
        """One author with what the paper prints about them."""
        if answered is None:
            return _named(name)
        printed = answered.printed_name or ""
        person = _named(better_spelling(name, printed) if squash(printed) in self._letters else name)
        emails = [self._once(self._emails.get(email_key(one))) for one in dict.fromkeys(answered.emails)]
        orcid = self._orcid(answered.orcid)
        corresponding = answered.is_corresponding and self._speaks_of_correspondence
        self.dropped += answered.is_corresponding and not corresponding
        return FoundPerson(
            given=person.given,
            family=person.family,
            suffix=person.suffix,
            is_collaboration=person.is_collaboration,
            orcid=orcid,
            emails=tuple(email for email in emails if email is not None),
            is_corresponding=corresponding,
        )

    def _orcid(self, written: str | None) -> str | None:
        if not written:
            return None
        orcid = read_orcid(written)
        return self._once(orcid if orcid in self._orcids else None)

    def _once(self, value: str | None) -> str | None:
        """The value unless an earlier author has it; None, and counted, when the paper does not print it."""
        if value is None or value in self._given:
            self.dropped += 1
            return None
        self._given.add(value)
        return value


def _named(name: str) -> FoundPerson:
    parts = split_name(name)
    return FoundPerson(
        given=parts.given, family=parts.family, suffix=parts.suffix, is_collaboration=parts.is_collaboration
    )
