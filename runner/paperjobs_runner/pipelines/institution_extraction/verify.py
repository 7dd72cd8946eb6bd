"""Checks Claude's answer against the paper, and brings its names into the form in which they are stored. Pure.

What the paper does not say is dropped and counted: an institution whose quotation is not on the pages that were sent,
an author whom arXiv does not list, a link to an institution that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from paperjobs_runner.names import InstitutionName, match_authors, normalise_institution, squash
from paperjobs_runner.pipelines.institution_extraction.answer import AnsweredInstitution, InstitutionsAnswer
from paperjobs_runner.store.findings import Findings, FoundAuthor, FoundInstitution
from paperjobs_runner.textclean import one_line

MIN_EVIDENCE: Final = 3
"""Letters and digits of a quotation: the shortest affiliations are acronyms (MIT, ETH)."""
MAX_NAME: Final = 300
"""Characters of a name; longer ones are not names but copied text."""
MAX_EVIDENCE: Final = 600


def verify(answer: InstitutionsAnswer, pages: Sequence[str], authors: Sequence[str]) -> Findings:
    """What of the answer stands in the paper, with every author arXiv lists in arXiv's order."""
    text = squash("\n".join(pages))
    found: dict[str, FoundInstitution] = {}
    key_at: dict[int, str] = {}
    dropped = 0
    for position, answered in enumerate(answer.institutions):
        name = _proven(answered, text)
        if name is None:
            dropped += 1
            continue
        key_at[position] = name.key
        earlier = found.get(name.key)
        if earlier is None:
            found[name.key] = FoundInstitution(
                key=name.key,
                name=name.name,
                department=_short(name.department),
                country=_short(answered.country),
                evidence=one_line(answered.evidence)[:MAX_EVIDENCE],
            )
    matches = match_authors([one_line(author.name) for author in answer.authors], authors)
    links: dict[int, list[str]] = {}
    dropped_links = 0
    for author, index in zip(answer.authors, matches, strict=True):
        keys = [key_at[position] for position in author.institutions if position in key_at]
        dropped_links += len(author.institutions) - len(keys) if index is not None else 1
        if index is not None:
            links[index] = list(dict.fromkeys(keys))
    return Findings(
        institutions=tuple(found.values()),
        authors=tuple(
            FoundAuthor(name=name, institution_keys=tuple(links.get(index, ()))) for index, name in enumerate(authors)
        ),
        dropped_institutions=dropped,
        dropped_links=dropped_links,
    )


def _proven(answered: AnsweredInstitution, text: str) -> InstitutionName | None:
    evidence = squash(answered.evidence)
    if len(evidence) < MIN_EVIDENCE or evidence not in text or len(answered.name) > MAX_NAME:
        return None
    return normalise_institution(answered.name, answered.department)


def _short(text: str | None) -> str | None:
    return (one_line(text)[:MAX_NAME] or None) if text else None
