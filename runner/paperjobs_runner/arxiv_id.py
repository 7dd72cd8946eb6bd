"""arXiv identifiers and the links that carry them. Pure: text in, identifier out, nothing is fetched.

The host is parsed and compared with a list, never searched for in the text, so that look-alikes
(`arxiv.org.evil.com`, `evil.com/arxiv.org`, `arxiv.org@evil.com`) are refused. What is fetched later is built from the
identifier alone. Rules: https://info.arxiv.org/help/arxiv_identifier.html and arxiv-base's `arxiv/identifier`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

EXAMPLE: Final = "https://arxiv.org/abs/2301.12345"
MAX_LINK_LENGTH: Final = 400
"""Characters; the longest real link (alphaxiv with a chat id) has fewer than 150."""

_ARXIV_PATHS: Final = r"(?:abs|pdf|html|src|e-print|format|ps|tb)/(?P<id>.+)"
_DOI: Final = re.compile(r"10\.48550/(?P<id>arxiv\..+)", re.I)
_ARXIV_HOSTS: Final = (
    "arxiv.org",
    "www.arxiv.org",
    "export.arxiv.org",
    "browse.arxiv.org",
    "cn.arxiv.org",
    "de.arxiv.org",
    "es.arxiv.org",
    "fr.arxiv.org",
    "il.arxiv.org",
    "in.arxiv.org",
    "jp.arxiv.org",
    "lanl.arxiv.org",
    "uk.arxiv.org",
    "xxx.arxiv.org",
    "xxx.lanl.gov",
)
_PATHS: Final = {
    **{host: re.compile(_ARXIV_PATHS) for host in _ARXIV_HOSTS},
    **dict.fromkeys(("doi.org", "www.doi.org", "dx.doi.org"), _DOI),
    **{
        host: re.compile(r"(?:abs|pdf|html|overview|replicate|audio)/(?P<id>.+)")
        for host in ("alphaxiv.org", "www.alphaxiv.org")
    },
    **{host: re.compile(r"papers/(?P<id>.+)") for host in ("huggingface.co", "hf.co")},
    **{
        host: re.compile(r"(?:abs|pdf|html|papers)/(?P<id>.+)")
        for host in ("ar5iv.org", "www.ar5iv.org", "ar5iv.labs.arxiv.org")
    },
}

_ARCHIVES: Final = (
    "acc-phys|adap-org|alg-geom|ao-sci|astro-ph|atom-ph|bayes-an|chao-dyn|chem-ph|cmp-lg|comp-gas|cond-mat|cs|dg-ga|"
    "funct-an|gr-qc|hep-ex|hep-lat|hep-ph|hep-th|math|math-ph|mtrl-th|nlin|nucl-ex|nucl-th|patt-sol|physics|plasm-ph|"
    "q-alg|q-bio|quant-ph|solv-int|supr-con"
)
"""The archives that existed before April 2007; later papers have no archive in their identifier."""
_NEW: Final = re.compile(r"(?P<yymm>\d{4})\.(?P<number>\d{4,5})(?:v(?P<version>[1-9]\d{0,2}))?", re.ASCII | re.I)
_OLD: Final = re.compile(
    rf"(?P<archive>{_ARCHIVES})(?:\.[A-Za-z-]{{2,12}})?/(?P<yymm>\d{{4}})(?P<number>\d{{3}})"
    r"(?:[vV](?P<version>[1-9]\d{0,2}))?",
    re.ASCII,
)
_EXTENSION: Final = re.compile(r"(?:\.pdf|\.ps|\.html|\.gz)+$", re.I)


class ArxivIdError(ValueError):
    """The text is not an arXiv identifier or link; the message says what was expected."""


@dataclass(frozen=True, kw_only=True)
class ArxivId:
    """A paper on arXiv: its base identifier, and the version when one was named."""

    base: str
    """Canonical: `2301.12345` or `math/0611800` (without subject class)."""
    version: int | None = None

    def __str__(self) -> str:
        return self.base if self.version is None else f"{self.base}v{self.version}"

    @property
    def squashed(self) -> str:
        """The base identifier without the old style's slash, for file names and storage keys."""
        return self.base.replace("/", "_")

    @property
    def abs_url(self) -> str:
        """The page to send people to."""
        return f"https://arxiv.org/abs/{self}"

    def at(self, version: int) -> ArxivId:
        """The same paper in that version."""
        return ArxivId(base=self.base, version=version)


def parse_arxiv_link(text: str) -> ArxivId:
    """Read an arXiv link or a bare identifier; raises ArxivIdError."""
    link = text.strip()
    if not link or len(link) > MAX_LINK_LENGTH or not link.isascii() or not link.isprintable() or "\\" in link:
        raise _expected(text)
    try:
        return parse_arxiv_id(link)
    except ArxivIdError:
        pass
    link = re.sub(r"^(?:doi:\s*)?(?=10\.48550/)", "doi.org/", link, flags=re.I)
    if "://" not in link:
        link = f"https://{link}"
    try:
        parts = urlsplit(link)
        has_port = parts.port is not None
    except ValueError:
        raise _expected(text) from None
    if parts.scheme.lower() not in ("http", "https") or "@" in parts.netloc or has_port or parts.netloc.endswith(":"):
        raise _expected(text)
    path = _PATHS.get(parts.netloc.lower())
    match = path.fullmatch(unquote(parts.path).strip("/")) if path else None
    if match is None:
        raise _expected(text)
    try:
        return parse_arxiv_id(re.sub(r"^arxiv\.", "", match["id"], flags=re.I))
    except ArxivIdError:
        raise _expected(text) from None


def parse_arxiv_id(text: str) -> ArxivId:
    """Read an identifier such as `2301.12345v2`, `arXiv:math.CA/0611800` or `2301.12345.pdf`; raises ArxivIdError."""
    stem = re.split(r"[?#]", text.strip(), maxsplit=1)[0].rstrip("/")
    stem = _EXTENSION.sub("", re.sub(r"^arxiv:\s*", "", stem, flags=re.I))
    if (match := _NEW.fullmatch(stem)) and _new_is_valid(match["yymm"], match["number"]):
        return ArxivId(base=f"{match['yymm']}.{match['number']}", version=_version(match))
    if (match := _OLD.fullmatch(stem)) and _old_is_valid(match["yymm"], match["number"]):
        return ArxivId(base=f"{match['archive']}/{match['yymm']}{match['number']}", version=_version(match))
    raise _expected(text)


def _new_is_valid(yymm: str, number: str) -> bool:
    digits = 5 if yymm >= "1501" else 4
    return yymm >= "0704" and _is_month(yymm) and len(number) == digits and int(number) > 0


def _old_is_valid(yymm: str, number: str) -> bool:
    return (yymm >= "9107" or yymm <= "0703") and _is_month(yymm) and int(number) > 0


def _is_month(yymm: str) -> bool:
    return "01" <= yymm[2:] <= "12"


def _version(match: re.Match[str]) -> int | None:
    return int(match["version"]) if match["version"] else None


def _expected(text: str) -> ArxivIdError:
    shown = "".join(char if char.isprintable() else "?" for char in text[:80]) + ("…" if len(text) > 80 else "")
    return ArxivIdError(f"expected a link such as {EXAMPLE}, got {shown!r}")
