"""Reads what was stored, for people: the demo's tables, the evaluation. From the same views that the web app reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, RowMapping, Table, select

from paperjobs_runner.database_url import normalise_database_url
from paperjobs_runner.store import views
from paperjobs_runner.store.session import connected


@dataclass(frozen=True, kw_only=True)
class AuthorResult:
    """An author and the names of their institutions; the details are None until author-extraction has run."""

    name: str
    institutions: tuple[str, ...]
    given: str | None = None
    family: str | None = None
    suffix: str | None = None
    is_collaboration: bool | None = None
    orcid: str | None = None
    emails: tuple[str, ...] = ()
    is_corresponding: bool | None = None


@dataclass(frozen=True, kw_only=True)
class InstitutionResult:
    """An institution as a paper names it."""

    name: str
    country: str | None
    department: str | None
    ror_id: str | None
    evidence: str
    page: int | None


@dataclass(frozen=True, kw_only=True)
class AbstractResult:
    """A structured abstract."""

    version: int
    summary: str
    key_points: tuple[str, ...]
    methods: str
    results: str
    limitations: str
    sections_left_out: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TagResult:
    """A tag from the vocabulary."""

    slug: str
    name: str
    confidence: float


@dataclass(frozen=True, kw_only=True)
class PaperResult:
    """A paper, its institutions in the order of their mention, its authors in arXiv's order, its abstract and tags."""

    paper_id: str
    arxiv_id: str
    """With version, such as `2301.12345v2`."""
    title: str
    mentions: tuple[InstitutionResult, ...]
    authors: tuple[AuthorResult, ...]
    abstract: AbstractResult | None
    tags: tuple[TagResult, ...]
    categories: tuple[str, ...]
    """arXiv's codes, the primary one first."""
    outcomes: Mapping[str, str]
    """Pipeline -> done, refused or truncated; only those that have written."""
    times: Mapping[str, datetime]
    """Pipeline -> when it last wrote; UTC."""

    @property
    def institutions(self) -> tuple[str, ...]:
        """The names of the institutions."""
        return tuple(mention.name for mention in self.mentions)

    @property
    def written_at(self) -> datetime | None:
        """UTC; when institution extraction last wrote, None when it never did."""
        return self.times.get("institution-extraction")


def read_results(database_url: str) -> list[PaperResult]:
    """Every stored paper, by paper id. `database_url` as in DATABASE_URL."""
    with connected(normalise_database_url(database_url)) as connection:
        return _read(connection)


def _read(connection: Connection) -> list[PaperResult]:
    authors = _by_paper(connection, views.AUTHORS, "position")
    places = _by_paper(connection, views.AUTHOR_INSTITUTIONS, "author_position", "position")
    mentions = _by_paper(connection, views.INSTITUTIONS, "position")
    abstracts = _by_paper(connection, views.ABSTRACTS, "paper_id")
    tags = _by_paper(connection, views.TAGS, "position")
    categories = _by_paper(connection, views.CATEGORIES, "position")
    results = _by_paper(connection, views.RESULTS, "pipeline")
    papers = connection.execute(select(views.PAPERS).order_by(views.PAPERS.c.paper_id)).mappings()
    return [
        PaperResult(
            paper_id=paper["paper_id"],
            arxiv_id=f"{paper['arxiv_id']}v{paper['version']}",
            title=paper["title"],
            mentions=tuple(_institution(row) for row in mentions.get(paper["paper_id"], ())),
            authors=tuple(
                _author(row, places.get(paper["paper_id"], [])) for row in authors.get(paper["paper_id"], ())
            ),
            abstract=next((_abstract(row) for row in abstracts.get(paper["paper_id"], ())), None),
            tags=tuple(
                TagResult(slug=row["slug"], name=row["name"], confidence=row["confidence"])
                for row in tags.get(paper["paper_id"], ())
            ),
            categories=tuple(row["code"] for row in categories.get(paper["paper_id"], ())),
            outcomes={row["pipeline"]: row["outcome"] for row in results.get(paper["paper_id"], ())},
            times={row["pipeline"]: _utc(row["written_at"]) for row in results.get(paper["paper_id"], ())},
        )
        for paper in papers
    ]


def _by_paper(connection: Connection, view: Table, *order: str) -> dict[str, list[RowMapping]]:
    rows: dict[str, list[RowMapping]] = {}
    for row in connection.execute(select(view).order_by(*(view.c[name] for name in order))).mappings():
        rows.setdefault(row["paper_id"], []).append(row)
    return rows


def _author(row: RowMapping, places: list[RowMapping]) -> AuthorResult:
    return AuthorResult(
        name=row["name"],
        institutions=tuple(place["institution"] for place in places if place["author_position"] == row["position"]),
        given=row["given"],
        family=row["family"],
        suffix=row["suffix"],
        is_collaboration=row["is_collaboration"],
        orcid=row["orcid"],
        emails=tuple(row["emails"] or ()),
        is_corresponding=row["is_corresponding"],
    )


def _institution(row: RowMapping) -> InstitutionResult:
    return InstitutionResult(
        name=row["name"],
        country=row["country"],
        department=row["department"],
        ror_id=row["ror_id"],
        evidence=row["evidence"],
        page=row["page"],
    )


def _abstract(row: RowMapping) -> AbstractResult:
    return AbstractResult(
        version=row["version"],
        summary=row["summary"],
        key_points=tuple(row["key_points"]),
        methods=row["methods"],
        results=row["results"],
        limitations=row["limitations"],
        sections_left_out=tuple(row["sections_left_out"]),
    )


def _utc(time: datetime) -> datetime:
    # SQLite forgets the zone; what is written is UTC.
    return time.replace(tzinfo=time.tzinfo or UTC)
