"""What a run found, as plain values: the only thing that pipelines hand to the database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from paperjobs_runner.arxiv_id import ArxivId
from paperjobs_runner.services.claude_usage import Usage

_TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")


@dataclass(frozen=True, kw_only=True)
class FoundInstitution:
    """An institution, unique by `key`, and how the paper names it."""

    key: str
    name: str
    department: str | None
    country: str | None
    evidence: str
    """The affiliation as printed."""
    page: int | None = None
    """The page that holds the evidence, from 1."""
    span_start: int | None = None
    """Where it begins in that page's kept text, in characters."""
    span_end: int | None = None


@dataclass(frozen=True, kw_only=True)
class FoundAuthor:
    """An author in arXiv's order, with the keys of their institutions."""

    name: str
    institution_keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FoundPerson:
    """What is known of an author beside the name in arXiv's list."""

    given: str | None
    family: str | None
    suffix: str | None
    is_collaboration: bool
    orcid: str | None = None
    emails: tuple[str, ...] = ()
    is_corresponding: bool = False


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The institutions and authors of one paper, and how much of the answer was not borne out by the paper."""

    institutions: tuple[FoundInstitution, ...]
    authors: tuple[FoundAuthor, ...]
    dropped_institutions: int = 0
    dropped_links: int = 0


@dataclass(frozen=True, kw_only=True)
class FoundAbstract:
    """A structured abstract: plain text, each text in one line."""

    summary: str
    key_points: tuple[str, ...]
    methods: str
    results: str
    limitations: str
    sections_left_out: tuple[str, ...]
    """Names of the sections that Claude was not shown."""


@dataclass(frozen=True, kw_only=True)
class FoundTag:
    """A tag of the vocabulary; confidence from 0 to 1."""

    slug: str
    confidence: float


@dataclass(frozen=True, kw_only=True)
class PaperFacts:
    """The paper itself, as arXiv describes it."""

    paper_id: str
    arxiv_id: ArxivId
    """With version."""
    title: str
    abstract: str
    primary_category: str | None
    doi: str | None
    published_at: datetime | None
    updated_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How the findings came about."""

    extractor: str
    """What read the PDF: adobe or pypdf; none when only what arXiv says was used."""
    model: str
    prompt_version: str
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    dropped: int = 0
    """How many things the model answered that the paper does not bear out."""
    outcome: str = "done"
    """done, refused or truncated: the last two are the model's, and what is known without it is stored all the same."""
    detail: str | None = None
    """One sentence about an outcome other than done."""

    def spent(
        self, usage: Usage | None, *, dropped: int = 0, outcome: str = "done", detail: str | None = None
    ) -> Provenance:
        """The same with what the answer cost, and how it ended."""
        if usage is not None:
            cost = {name: getattr(usage, name) for name in ("model", *_TOKENS)}
            return replace(self, **cost, dropped=dropped, outcome=outcome, detail=detail)
        return replace(self, dropped=dropped, outcome=outcome, detail=detail)
