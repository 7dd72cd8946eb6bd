"""Takes secrets out of text before it is written anywhere: the settings' own secrets, and what looks like one.

Our messages are built without secrets; this is the second line, for tracebacks and libraries' texts in the log.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "***"

_PATTERNS: Final = (
    # Presigned URLs: everything after the question mark is the permission itself.
    (re.compile(r"(?i)(\?)[^\s\"'<>]*(?:X-Amz-|Signature=|sig=|token=)[^\s\"'<>]*"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}"), rf"\1{MASK}"),
    (re.compile(r"\bsk-[\w-]{8,}"), MASK),
    (re.compile(r"(?i)\b(AKIA|ASIA)[A-Z0-9]{12,}"), MASK),
    (re.compile(r"(\w+://[^\s:/@]*:)[^\s@/]+(@)"), rf"\1{MASK}\2"),
)


class Redactor:
    """Masks a fixed set of secret values, in every form in which they travel, and the known patterns of others."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # Very short values would mask half of every text; such a password protects nothing anyway.
        values = {form for value in secrets if len(value) >= 6 for form in _forms(value)}
        self._values = sorted(values, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        for value in self._values:
            text = text.replace(value, MASK)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text


def _forms(value: str) -> set[str]:
    """The value as it stands in a header, a URL, a form, JSON, Python's repr, and base64."""
    encoded = value.encode("utf-8", "surrogateescape")
    return {
        value,
        quote(encoded),
        quote(encoded, safe=""),
        quote_plus(encoded),
        json.dumps(value)[1:-1],
        repr(value)[1:-1],
        base64.b64encode(encoded).decode(),
        base64.urlsafe_b64encode(encoded).decode(),
    }
