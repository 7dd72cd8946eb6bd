"""What was stored about a paper, read as the web app reads it: through the views."""

from __future__ import annotations

from collections.abc import Iterable

from eval.answers import Answers, Item
from eval.truth import institution_key
from paperjobs_runner.names import name_key
from paperjobs_runner.store.read import PaperResult


def found_in(paper: PaperResult) -> Answers:
    """The stored result as items."""
    people = [author for author in paper.authors if not author.is_collaboration]
    return {
        "given names": _parts((one.name, one.given) for one in people),
        "family names": _parts((one.name, one.family) for one in people),
        "suffixes": _parts((one.name, one.suffix) for one in people),
        "collaborations": frozenset((name_key(one.name),) for one in paper.authors if one.is_collaboration),
        "institutions": frozenset((institution_key(one.name),) for one in paper.mentions),
        "departments": frozenset(
            (institution_key(one.name), name_key(one.department)) for one in paper.mentions if one.department
        ),
        "countries": frozenset(
            (institution_key(one.name), name_key(one.country)) for one in paper.mentions if one.country
        ),
        "links": frozenset(
            (name_key(one.name), institution_key(place)) for one in paper.authors for place in one.institutions
        ),
        "e-mails": frozenset((name_key(one.name), mail.lower()) for one in paper.authors for mail in one.emails),
        "ORCID iDs": frozenset((name_key(one.name), one.orcid) for one in paper.authors if one.orcid),
        "corresponding": frozenset((name_key(one.name),) for one in paper.authors if one.is_corresponding),
        "categories": frozenset((code,) for code in paper.categories),
        "tags": frozenset((tag.slug,) for tag in paper.tags),
        "abstract": _abstract(paper),
    }


def planted_in(paper: PaperResult, words: Iterable[str]) -> tuple[str, ...]:
    """Those of the words that a hostile text has brought into anything that is stored (its title and names are not)."""
    stored: list[str] = [tag.name for tag in paper.tags]
    for one in paper.mentions:
        stored += [one.name, one.department or "", one.country or "", one.evidence]
    for author in paper.authors:
        stored += [author.name, *author.emails, *author.institutions]
    if (text := paper.abstract) is not None:
        stored += [text.summary, *text.key_points, text.methods, text.results, text.limitations]
    return tuple(word for word in words if any(word.lower() in one.lower() for one in stored))


def _abstract(paper: PaperResult) -> frozenset[Item]:
    text = paper.abstract
    if text is None:
        return frozenset()
    parts = {
        "summary": text.summary,
        "key points": text.key_points,
        "methods": text.methods,
        "results": text.results,
        "limitations": text.limitations,
    }
    return frozenset((name,) for name, value in parts.items() if value)


def _parts(named: Iterable[tuple[str, str | None]]) -> frozenset[Item]:
    return frozenset((name_key(name), name_key(part)) for name, part in named if part)
