"""Reads affiliations that are told in sentences: `A. Author and B. Writer are with the Institute of …`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from paperjobs_standins.reading.people import listed_people

_WITH = re.compile(
    r"\b(?:is|are|was|were) (?:also |now )?with (?:the )?(?P<place>[^()]{5,300}?)(?=\s*\(e-?mails?\b|\.(?:\s|$))",
    re.IGNORECASE,
)
_END = re.compile(r"\)\.\s|\.\s+(?=[^\W\d_]+ [^\W\d_]+)")


def places_in_sentences(text: str, names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of a listed name and the place its sentence names, in the order of the text."""
    flat = " ".join(text.split())
    found: list[tuple[str, str]] = []
    for match in _WITH.finditer(flat):
        before = flat[max(0, match.start() - 400) : match.start()]
        subject = _END.split(before)[-1]
        found += [(one.name, match["place"].strip()) for one in listed_people(subject, names)]
    return found
