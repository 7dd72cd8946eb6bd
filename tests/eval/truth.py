"""What is true of a paper, from its data file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from eval.answers import Answers, Item
from paperjobs_runner.names import name_key, normalise_institution
from paperjobs_standins.papers import Affiliation, Author, SamplePaper

ABSTRACT: Final = frozenset((part,) for part in ("summary", "key points", "methods", "results"))
"""What every sample's text has something to say about; limitations are named by those of the field `study`."""
_GROUP: Final = re.compile(r"\b(?:collaboration|consortium)\b", re.I)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What must be found, and what may be found beside it without being wrong."""

    wanted: Answers
    possible: Answers


def truth_of(paper: SamplePaper) -> Truth:
    """The truth in the form of what is stored: authors are those whom arXiv lists."""
    people = {author.name: author for author in paper.authors if author.name in paper.listed}
    groups = [name for name in paper.listed if name not in people and _GROUP.search(name)]
    # An institution counts once some listed author works there, or a listed collaboration's member does.
    used = {key for author in (paper.authors if groups else people.values()) for key in author.affiliations}
    places = [one for one in paper.affiliations if one.key in used]
    everywhere = frozenset((name_key(group), key) for group in groups for one in places for key in _keys(one))
    limits = frozenset({("limitations",)})
    return Truth(
        wanted={
            "given names": _named((author, author.parts[0]) for author in people.values()),
            "family names": _named((author, author.parts[1]) for author in people.values()),
            "suffixes": _named((author, author.suffix) for author in people.values()),
            "collaborations": frozenset((name_key(group),) for group in groups),
            "institutions": frozenset((key,) for one in places for key in _keys(one)),
            "departments": frozenset((_keys(one)[0], name_key(one.department)) for one in places if one.department),
            "countries": frozenset((key, name_key(one.country)) for one in places for key in _keys(one) if one.country),
            "links": _links(people.values(), places) | (frozenset() if people else everywhere),
            "e-mails": frozenset(
                (name_key(author.name), mail.lower()) for author in people.values() for mail in author.mails
            ),
            "ORCID iDs": frozenset((name_key(one.name), one.orcid) for one in people.values() if one.orcid),
            "corresponding": frozenset((name_key(one.name),) for one in people.values() if one.corresponding),
            "categories": frozenset((code,) for code in paper.arxiv_categories),
            "tags": frozenset((slug,) for slug in paper.tags),
            "abstract": ABSTRACT | (limits if paper.field == "study" else frozenset()),
        },
        # A collaboration beside its members is tied to all places or to none: the paper does not say.
        possible={"links": everywhere, "tags": frozenset((slug,) for slug in paper.tags_possible), "abstract": limits},
    )


def institution_key(name: str) -> str:
    """The key under which it is stored: aliases are one institution."""
    usual = normalise_institution(name)
    return usual.key if usual is not None else name_key(name)


def _keys(place: Affiliation) -> list[str]:
    return [institution_key(name) for name in (place.name, *place.also)]


def _links(people: Iterable[Author], places: Iterable[Affiliation]) -> frozenset[Item]:
    keys = {place.key: _keys(place) for place in places}
    return frozenset(
        (name_key(author.name), key) for author in people for place in author.affiliations for key in keys[place]
    )


def _named(parts: Iterable[tuple[Author, str]]) -> frozenset[Item]:
    return frozenset((name_key(author.name), name_key(part)) for author, part in parts if part)
