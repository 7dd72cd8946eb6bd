"""ORCID iDs in a text or an address. Pure.

Source: https://support.orcid.org/hc/en-us/articles/360006897674 (structure; the last digit is a checksum by
ISO/IEC 7064, MOD 11-2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_DASHES: Final = "-\u00ad\u2010-\u2015\u2212"
_ORCID: Final = re.compile(
    rf"(?:(?:https?://)?(?:www\.)?orcid\.org/|(?<!\d)(?<!\d[{_DASHES}]))"
    rf"(\d{{4}})[{_DASHES}]\s?(\d{{4}})[{_DASHES}]\s?(\d{{4}})[{_DASHES}]\s?(\d{{3}}[\dXx])(?!\d|[{_DASHES}]\d)",
    re.I | re.A,
)


@dataclass(frozen=True, kw_only=True)
class PlacedOrcid:
    """A valid iD and where it stands in the text."""

    orcid: str
    """`0000-0002-1825-0097`."""
    start: int
    end: int


def orcids_in(text: str) -> Iterator[PlacedOrcid]:
    """The valid iDs, bare or as addresses, with any dash and over line ends, in the order of the text."""
    for match in _ORCID.finditer(text):
        orcid = "-".join(match.groups()).upper()
        if is_orcid(orcid):
            yield PlacedOrcid(orcid=orcid, start=match.start(), end=match.end())


def read_orcid(written: str) -> str | None:
    """The one valid iD in a short text, in its usual form; None when there is none or more than one."""
    found = {placed.orcid for placed in orcids_in(written)}
    return found.pop() if len(found) == 1 else None


def is_orcid(orcid: str) -> bool:
    """Whether it is in the usual form and its checksum is right."""
    if not re.fullmatch(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]", orcid, re.A):
        return False
    digits = orcid.replace("-", "")
    # An iD of zeros alone has a checksum of 1; the registry gave none below 0000-0001.
    return digits[:15].strip("0") != "" and check_digit(digits[:15]) == digits[15]


def check_digit(digits: str) -> str:
    """The sixteenth character for fifteen digits."""
    total = 0
    for digit in digits:
        total = (total + int(digit)) * 2
    result = (12 - total % 11) % 11
    return "X" if result == 10 else str(result)
