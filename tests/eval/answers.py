"""What is compared: for every field a set of items, each a tuple of keys in which spelling has no say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Item = tuple[str, ...]

FIELDS: Final = (
    "given names",
    "family names",
    "suffixes",
    "collaborations",
    "institutions",
    "departments",
    "countries",
    "links",
    "e-mails",
    "ORCID iDs",
    "corresponding",
    "categories",
    "tags",
    "abstract",
)
"""In the order of the report. An item belongs to an author or institution: a right name at the wrong one is wrong."""

Answers = Mapping[str, frozenset[Item]]
"""Field -> items; a field that is left out is empty."""
