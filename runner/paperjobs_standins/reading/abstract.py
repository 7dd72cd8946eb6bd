"""Writes a structured abstract by rules: sentences of the text itself, chosen by the section in which they stand.

It knows only what the prompt says: `<section>` blocks whose first line is the heading, inside `<paper>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NEEDS = frozenset({"summary", "key_points", "methods", "results", "limitations"})
"""Properties by which the form is known."""

_PAPER = re.compile(r"<paper>(.*)</paper>", re.DOTALL)
_SECTION = re.compile(r"<section>\n(.*?)\n</section>", re.DOTALL)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\[(])")
_NOTHING = {"methods": "", "results": "", "limitations": ""}
_ABSTRACT = re.compile(r"\babstract\b", re.I)
_INTRODUCTION = re.compile("introduction", re.I)
_METHODS = re.compile(r"method|approach|apparatus|model|algorithm|proof|design|data", re.I)
_RESULTS = re.compile(r"result|experiment|evaluation|finding|remark|discussion|conclusion", re.I)
_LIMITS = re.compile(
    r"\b(?:limit(?:ed|ation|ations|s)|does not|do not|has not|have not|cannot|not precise|weakness(?:es)?|"
    r"remains? open|future work|uncertaint(?:y|ies)|will be needed|only)\b",
    re.I,
)


@dataclass(frozen=True, kw_only=True)
class _Part:
    heading: str
    sentences: tuple[str, ...]


def wants_abstract(schema: Mapping[str, Any] | None) -> bool:
    """Whether the form asks for a structured abstract."""
    return schema is not None and set(schema.get("properties", ())) >= NEEDS


def structured_abstract(prompt: str) -> dict[str, Any]:
    """The filled form; texts for which the paper gives nothing are empty."""
    parts = _parts(prompt)
    if not parts:
        return {"summary": "The text is empty.", "key_points": ["Nothing is said."], **_NOTHING}
    opening = _first(parts, _ABSTRACT) or _first(parts, _INTRODUCTION) or parts[0]
    parts = parts[parts.index(opening) + 1 :]  # before it stands the title page
    summary = " ".join(opening.sentences[:3])[:1_500]
    points = [part.sentences[0] for part in parts][:5]
    limits = [sentence for part in reversed(parts) for sentence in part.sentences if _LIMITS.search(sentence)]
    return {
        "summary": summary,
        "key_points": [point[:400] for point in dict.fromkeys(points or [summary])],
        "methods": _beginning(_first(parts, _METHODS)),
        "results": _beginning(_first(parts, _RESULTS)),
        "limitations": " ".join(limits[:2])[:1_500],
    }


def _parts(prompt: str) -> list[_Part]:
    paper = _PAPER.search(prompt)
    text = paper[1] if paper else prompt
    parts = []
    for block in _SECTION.findall(text) or [text]:
        heading, _, body = block.partition("\n")
        sentences = tuple(" ".join(one.split()) for one in _SENTENCE.split(body or heading) if one.strip())
        parts.append(_Part(heading=heading.strip(), sentences=sentences))
    return [part for part in parts if part.sentences]


def _first(parts: list[_Part], heading: re.Pattern[str]) -> _Part | None:
    return next((part for part in parts if len(part.heading) < 90 and heading.search(part.heading)), None)


def _beginning(part: _Part | None) -> str:
    return " ".join(part.sentences[:3])[:1_500] if part is not None else ""
