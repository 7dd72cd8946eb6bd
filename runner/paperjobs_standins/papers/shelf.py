"""Reads the papers from their data files, one TOML file per paper: `data/` real metadata, `invented/` made up."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from paperjobs_standins.papers.model import Affiliation, Author, Footnote, SamplePaper


@cache
def sample_papers() -> tuple[SamplePaper, ...]:
    """The papers that the demo shows, in the order of their file names."""
    return tuple(paper_from(data) for data in _data_files("data"))


@cache
def invented_papers() -> tuple[SamplePaper, ...]:
    """The papers that nobody wrote, for what real ones must not be used for: e-mail addresses, ORCID iDs, attacks."""
    return tuple(paper_from({**data, "invented": True}) for data in _data_files("invented"))


def all_papers() -> tuple[SamplePaper, ...]:
    """Everything that arXiv's stand-in knows: the evaluation set."""
    return sample_papers() + invented_papers()


def _data_files(folder: str) -> Iterator[dict[str, Any]]:
    within = files("paperjobs_standins.papers").joinpath(folder)
    sources = sorted((one for one in within.iterdir() if one.name.endswith(".toml")), key=lambda one: one.name)
    for source in sources:
        yield tomllib.loads(source.read_text(encoding="utf-8"))


def paper_from(data: dict[str, Any]) -> SamplePaper:
    """A paper from its data file; TypeError or ValueError when the file is inconsistent."""
    authors = tuple(Author(**_tuples(one)) for one in data.pop("authors"))
    affiliations = tuple(Affiliation(**_tuples(one)) for one in data.pop("affiliations", ()))
    footnotes = tuple(Footnote(**one) for one in data.pop("footnotes", ()))
    keys = {affiliation.key for affiliation in affiliations}
    unknown = sorted({key for author in authors for key in author.affiliations} - keys)
    if unknown:
        raise ValueError(f"{data.get('arxiv_id')}: no affiliation has the key {', '.join(unknown)}")
    listed = tuple(data.pop("listed", ())) or tuple(author.name for author in authors)
    return SamplePaper(authors=authors, affiliations=affiliations, footnotes=footnotes, listed=listed, **_tuples(data))


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
