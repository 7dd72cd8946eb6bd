"""What was read, arranged for an answer: institutions in order of mention, authors with positions in that list."""

from __future__ import annotations

from dataclasses import dataclass

from paperjobs_standins.reading.author_block import AuthorBlock
from paperjobs_standins.reading.contacts import contacts_of
from paperjobs_standins.reading.people import is_collaboration
from paperjobs_standins.reading.prompt import Manuscript


@dataclass(frozen=True, kw_only=True)
class InstitutionFact:
    """One institution."""

    name: str
    department: str
    country: str
    evidence: str
    page: int
    authors: tuple[int, ...]
    """Positions in `Facts.authors`."""


@dataclass(frozen=True, kw_only=True)
class AuthorFact:
    """One author."""

    name: str
    institutions: tuple[int, ...]
    """Positions in `Facts.institutions`."""
    emails: tuple[str, ...] = ()
    orcid: str = ""
    corresponding: bool = False


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that can be answered."""

    institutions: tuple[InstitutionFact, ...]
    authors: tuple[AuthorFact, ...]


def facts_of(manuscript: Manuscript, block: AuthorBlock) -> Facts:
    """Institutions once each; authors as the prompt lists them, a collaboration standing for all its members."""
    names = list(manuscript.authors or dict.fromkeys(block.authors))
    contacts = contacts_of(manuscript.pages, names)
    first = {link.institution.name: link for link in reversed(block.links)}
    order = list(dict.fromkeys(link.institution.name for link in block.links))
    everywhere = tuple(range(len(order)))
    authors = [
        AuthorFact(
            name=name,
            institutions=everywhere
            if is_collaboration(name)
            else tuple(dict.fromkeys(order.index(one.institution.name) for one in block.links if one.author == name)),
            emails=tuple(contact.emails),
            orcid=contact.orcid,
            corresponding=contact.corresponding,
        )
        for name, contact in zip(names, contacts, strict=True)
    ]
    institutions = [
        InstitutionFact(
            name=name,
            department=first[name].institution.department,
            country=first[name].institution.country,
            evidence=first[name].evidence,
            page=first[name].page,
            authors=tuple(index for index, author in enumerate(authors) if position in author.institutions),
        )
        for position, name in enumerate(order)
    ]
    return Facts(institutions=tuple(institutions), authors=tuple(authors))
