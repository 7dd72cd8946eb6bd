"""What the runs of a local session stored, one block for each paper: the end of the demo."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from paperjobs_runner.store.read import AbstractResult, AuthorResult, PaperResult

MOST: Final = 6
"""Authors, institutions or tags named in a block; the database has all of them."""


def findings_table(papers: Sequence[PaperResult]) -> Table:
    """A block of rows for each paper: what, and what was found."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for paper in papers:
        table.add_row(Text(paper.arxiv_id, "bold"), Text(paper.title, "bold"))
        for name, text in _rows(paper):
            table.add_row(Text(f"  {name}"), Text(text))
        table.add_row()
    return table


def _rows(paper: PaperResult) -> Iterable[tuple[str, str]]:
    yield "authors", _listed([_author(author) for author in paper.authors])
    yield (
        "institutions",
        _listed(
            [f"{name} ({sum(name in author.institutions for author in paper.authors)})" for name in paper.institutions]
        ),
    )
    yield "tags", _listed([f"{tag.name} {tag.confidence:.2f}" for tag in paper.tags])
    yield "categories", _listed(paper.categories)
    if paper.abstract is not None:
        yield from _abstract(paper.abstract)
    for pipeline, outcome in paper.outcomes.items():
        if outcome != "done":
            yield pipeline, outcome


def _author(author: AuthorResult) -> str:
    details = [*author.emails[:1], *([f"ORCID {author.orcid}"] if author.orcid else [])]
    details += ["corresponding"] if author.is_corresponding else []
    return f"{author.name} ({', '.join(details)})" if details else author.name


def _abstract(abstract: AbstractResult) -> Iterable[tuple[str, str]]:
    yield "abstract", abstract.summary
    for point in abstract.key_points:
        yield "", f"- {point}"
    for name in ("methods", "results", "limitations"):
        if text := getattr(abstract, name):
            yield name, text


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST:,} more" if len(names) > MOST else ""
    return "; ".join(names[:MOST]) + more if names else "none found"
