"""Chooses tags by rules: how many of a tag's words the paper uses, and how often in title and abstract.

It knows only what the prompt says: the vocabulary in the system prompt, one `slug | name | description` a line, and
the paper's title, abstract and beginning between their tags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_VOCABULARY = re.compile(r"<vocabulary>\n(.*?)\n</vocabulary>", re.DOTALL)
_MOST = re.compile(r"At most (\d+) tags")
_WEIGHTS = {"title": 3.0, "abstract": 2.0, "categories": 1.5, "paper": 0.5}
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "and the of for that with from their its on in to a an as by such other about or what how new included uses "
        "data model method learning system theory analysi physic quantum computer",
    )
)
"""Words that tell one field from another too seldom."""
_LEAST = 3.0
"""A score below it is chance."""


def wants_tags(schema: Mapping[str, Any] | None) -> bool:
    """Whether the form asks for tags."""
    return schema is not None and set(schema.get("properties", ())) == {"tags"}


def chosen_tags(system: str, prompt: str) -> dict[str, Any]:
    """The filled form: the best fitting tags first."""
    vocabulary = _VOCABULARY.search(system)
    most = _MOST.search(system)
    parts = {name: _words(_part(prompt, name)) for name in _WEIGHTS}
    plain = {name: " ".join(words) for name, words in parts.items()}
    scores: dict[str, float] = {}
    for line in vocabulary[1].splitlines() if vocabulary else ():
        slug, _, rest = line.partition(" | ")
        name, _, description = rest.partition(" | ")
        scores[slug.strip()] = _score(name, description, parts, plain)
    best = sorted((slug for slug, score in scores.items() if score >= _LEAST), key=lambda slug: -scores[slug])
    top = max(scores.values(), default=0.0)
    return {
        "tags": [
            {"tag": slug, "confidence": round(min(0.98, 0.35 + 0.6 * scores[slug] / top), 2)}
            for slug in best[: min(5, int(most[1]) if most else 5)]
        ]
    }


def _score(name: str, description: str, parts: Mapping[str, list[str]], plain: Mapping[str, str]) -> float:
    phrase = " ".join(_words(name))
    names = [word for word in _words(name) if word not in _COMMON]
    told = {word for word in _words(description) if word not in _COMMON and len(word) > 3}
    score = 0.0
    for part, weight in _WEIGHTS.items():
        words = set(parts[part])
        score += 3 * weight * (f" {phrase} " in f" {plain[part]} ")
        score += weight * sum(word in words for word in names) / max(1, len(names))
        score += weight * sum(word in words for word in told) / max(3, len(told))
    return score


def _part(prompt: str, name: str) -> str:
    found = re.search(rf"<{name}>\n(.*?)\n</{name}>", prompt, re.DOTALL)
    return found[1] if found else ""


def _words(text: str) -> list[str]:
    """Words in small letters, a plural's s taken off."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    return [word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith("ss") else word for word in words]
