"""Reads arXiv's Atom answers. Pure: bytes in, a paper out.

Format: https://info.arxiv.org/help/api/user-manual.html#_details_of_atom_results_returned
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from paperjobs_runner.arxiv_id import ArxivId, ArxivIdError, parse_arxiv_id
from paperjobs_runner.errors import PaperUnknown, ServiceFailed
from paperjobs_runner.textclean import one_line

_ATOM: Final = "{http://www.w3.org/2005/Atom}"
_ARXIV: Final = "{http://arxiv.org/schemas/atom}"


MAX_TERM: Final = 200
"""Characters of a category term; MSC lists can be long."""


@dataclass(frozen=True, kw_only=True)
class PaperMetadata:
    """What arXiv says about one version of a paper."""

    id: ArxivId
    """With its version: a link without one means the latest."""
    title: str
    authors: tuple[str, ...]
    abstract: str
    published: datetime | None
    """When the first version appeared."""
    updated: datetime | None
    """When this version appeared."""
    primary_category: str | None
    categories: tuple[str, ...]
    """Every category term as it stands there: arXiv's codes, the primary one among them, and MSC's and ACM's."""
    doi: str | None
    comment: str
    withdrawn: bool
    """arXiv has no flag for it: the comment or abstract says so."""


def read_feed(body: bytes, wanted: ArxivId) -> PaperMetadata | None:
    """The wanted paper; None when the feed lacks it (which arXiv also does, now and then, for papers it has).

    Raises PaperUnknown when arXiv says the identifier is wrong, ServiceFailed when the answer is not a feed.
    """
    try:
        feed = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):  # the last: an encoding nobody knows
        raise ServiceFailed("arXiv answered with something that is not an Atom feed") from None
    if feed.tag != f"{_ATOM}feed":
        raise ServiceFailed("arXiv answered with something that is not an Atom feed")
    for entry in feed.findall(f"{_ATOM}entry"):
        address = _text(entry, f"{_ATOM}id")
        if "/api/errors" in address:
            reason = _text(entry, f"{_ATOM}summary")[:200]
            if "incorrect id" in reason.lower():
                raise PaperUnknown(f"arXiv does not accept the identifier {wanted}: {reason}")
            raise ServiceFailed(f"arXiv answered with an error: {reason}")
        found = _identifier(address)
        if found is not None and found.base == wanted.base and wanted.version in (None, found.version):
            return _metadata(entry, found)
    return None


def _metadata(entry: Element, found: ArxivId) -> PaperMetadata:
    comment, abstract = _text(entry, f"{_ARXIV}comment"), _text(entry, f"{_ATOM}summary")
    category = entry.find(f"{_ARXIV}primary_category")
    names = (_text(author, f"{_ATOM}name") for author in entry.findall(f"{_ATOM}author"))
    return PaperMetadata(
        id=found if found.version else found.at(1),
        title=_text(entry, f"{_ATOM}title"),
        authors=tuple(name for name in names if name),
        abstract=abstract,
        published=_time(_text(entry, f"{_ATOM}published")),
        updated=_time(_text(entry, f"{_ATOM}updated")),
        primary_category=one_line(category.get("term") or "")[:MAX_TERM] or None if category is not None else None,
        categories=tuple(one_line(one.get("term") or "")[:MAX_TERM] for one in entry.findall(f"{_ATOM}category")),
        doi=_text(entry, f"{_ARXIV}doi") or None,
        comment=comment,
        withdrawn="withdrawn" in comment.lower() or "has been withdrawn" in abstract.lower(),
    )


def _identifier(address: str) -> ArxivId | None:
    try:
        return parse_arxiv_id(address.partition("/abs/")[2])
    except ArxivIdError:
        return None


def _text(element: Element, tag: str) -> str:
    return one_line(element.findtext(tag) or "")


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter: a year before the first or after the last
        return None
