"""E-mail addresses as papers print them. Pure.

Plain ones; groups with one host (`{ana,bo}@x.edu`); and the spelt out (`ana [at] x [dot] edu`). Nothing is completed or
corrected: each address that is found stands in the text, letter for letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_LOCAL: Final = 64
MAX_ADDRESS: Final = 254
"""Characters (RFC 5321, 4.5.3.1)."""

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_SIMPLE_LOCAL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_+'.-]{0,62}[A-Za-z0-9_+-])?"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST: Final = rf"(?:{_LABEL}\.)+[A-Za-z]{{2,24}}"
_ADDRESS: Final = re.compile(rf"({_ATOM}+(?:\.{_ATOM}+)*)@({_HOST})")

_AT: Final = r"(?:\s?@\s?|\s?[\[({<]\s?(?:at|@)\s?[\])}>]\s?)"
_DOT: Final = r"(?:\s?[\[({<]\s?(?:dot|\.)\s?[\])}>]\s?|\.)"
_PRINTED_HOST: Final = rf"{_LABEL}(?:{_DOT}{_LABEL})*{_DOT}[A-Za-z]{{2,24}}"
_BEFORE: Final = r"(?<![\w@.+'-])"
_ONE: Final = re.compile(
    rf"{_BEFORE}(?P<local>{_SIMPLE_LOCAL}(?:\s?[\[({{<]\s?dot\s?[\])}}>]\s?[A-Za-z0-9_+-]{{1,62}}){{0,3}}){_AT}"
    rf"(?P<host>{_PRINTED_HOST})",
    re.I,
)
_GROUP: Final = re.compile(
    rf"(?P<open>[{{(\[<])(?P<locals>[^{{}}()\[\]<>@]{{1,2000}})[}})\]>]{_AT}(?P<host>{_PRINTED_HOST})", re.I
)
_SPOKEN: Final = re.compile(
    rf"{_BEFORE}(?P<local>{_SIMPLE_LOCAL}(?:\s+dot\s+[A-Za-z0-9_+-]{{1,62}}){{0,3}})\s+at\s+"
    rf"(?P<host>{_LABEL}(?:\s+dot\s+{_LABEL}){{0,5}}\s+dot\s+[A-Za-z]{{2,24}})\b",
    re.I,
)
_GLUED: Final = re.compile(r"(?<=\.)([a-z]{2,6})[A-Z][A-Za-z]*$")
"""A PDF's text may have the next word right after the address."""
_SEPARATOR: Final = re.compile(r"\s*[,;|/\u00b7\u2022]\s*(?:and\s+)?|\s+and\s+|\s{2,}|\n", re.I)
_PLACEHOLDER: Final = re.compile(
    r"(?:first|last|given|family|fore|sur|user|your|author)[._-]?name.*|name|first[._-](?:last|family|sur).*|"
    r"f(?:irst)?\.?last|username|initials?[._-].*",
    re.I,
)
"""`firstname.lastname@x.edu` tells how addresses are made, and is none."""


@dataclass(frozen=True, kw_only=True)
class PlacedEmail:
    """An address, where it stands, and its place in the group that it is part of."""

    address: str
    """As printed, the host in lower case."""
    start: int
    """Of the address, or of the whole group, in the text."""
    end: int
    position: int = 0
    """In its group."""
    group_size: int = 1


def is_email(address: str) -> bool:
    """Whether the syntax is that of an address which mail servers on the internet accept (RFC 5321, dot-atom)."""
    match = _ADDRESS.fullmatch(address)
    return (
        match is not None
        and len(address) <= MAX_ADDRESS
        and len(match[1]) <= MAX_LOCAL
        and _PLACEHOLDER.fullmatch(match[1]) is None
    )


def email_key(address: str) -> str:
    """The key under which two spellings of an address are compared."""
    return address.strip().casefold()


def emails_in(text: str) -> list[PlacedEmail]:
    """The addresses that stand in the text, in its order."""
    found: list[PlacedEmail] = []
    taken: list[tuple[int, int]] = []
    for match, emails in _candidates(text):
        if emails and not any(start < match.end() and match.start() < end for start, end in taken):
            taken.append(match.span())
            found += emails
    return sorted(found, key=lambda email: (email.start, email.position))


def _candidates(text: str) -> Iterator[tuple[re.Match[str], list[PlacedEmail]]]:
    """Groups first, since the last name of one before its host may look like a plain address."""
    for match in _GROUP.finditer(text):
        locals_ = [one for one in _SEPARATOR.split(match["locals"].strip()) if one.strip()]
        yield match, _placed(match, locals_)
    for pattern in (_ONE, _SPOKEN):
        for match in pattern.finditer(text):
            yield match, _placed(match, [match["local"]])


def _placed(match: re.Match[str], locals_: list[str]) -> list[PlacedEmail]:
    host = _GLUED.sub(r"\1", _joined(match["host"])).lower()
    addresses = [f"{_joined(one)}@{host}" for one in locals_]
    if not all(len(address) <= MAX_ADDRESS for address in addresses):
        return []
    return [
        PlacedEmail(address=address, start=match.start(), end=match.end(), position=position, group_size=len(addresses))
        for position, address in enumerate(addresses)
        if is_email(address)
    ]


def _joined(printed: str) -> str:
    """Without the spaces and the words that stand for dots."""
    printed = re.sub(r"\s*[\[({<]\s*(?:dot|\.)\s*[\])}>]\s*|\s+dot\s+", ".", printed, flags=re.I)
    return "".join(printed.split())
