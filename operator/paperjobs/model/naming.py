"""Names for Kubernetes made from names that may hold anything."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

SLUG_LENGTH: Final = 40
"""Leaves room for a digest within the 63 characters of a label value (Kubernetes: job-name is one)."""


@lru_cache(maxsize=1024)
def dns_slug(text: str) -> str:
    """The readable part of a name: lower case letters, digits and single dashes, never empty."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower())[:SLUG_LENGTH].strip("-")
    return slug or "queue"
