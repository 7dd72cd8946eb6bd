"""Reads the sample papers from their data files, one TOML file per paper."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from paperjobs_standins.papers.model import Affiliation, Author, Footnote, SamplePaper


@cache
def sample_papers() -> tuple[SamplePaper, ...]:
    """All sample papers, in the order of their file names."""
    folder = files("paperjobs_standins.papers").joinpath("data")
    sources = sorted((one for one in folder.iterdir() if one.name.endswith(".toml")), key=lambda one: one.name)
    return tuple(paper_from(tomllib.loads(source.read_text(encoding="utf-8"))) for source in sources)


def paper_from(data: dict[str, Any]) -> SamplePaper:
    """A paper from its data file; TypeError or ValueError when the file is inconsistent."""
    authors = tuple(Author(**_tuples(one)) for one in data.pop("authors"))
    affiliations = tuple(Affiliation(**_tuples(one)) for one in data.pop("affiliations"))
    footnotes = tuple(Footnote(**one) for one in data.pop("footnotes", ()))
    keys = {affiliation.key for affiliation in affiliations}
    unknown = sorted({key for author in authors for key in author.affiliations} - keys)
    if unknown:
        raise ValueError(f"{data.get('arxiv_id')}: no affiliation has the key {', '.join(unknown)}")
    listed = tuple(data.pop("listed", ())) or tuple(author.name for author in authors)
    return SamplePaper(authors=authors, affiliations=affiliations, footnotes=footnotes, listed=listed, **_tuples(data))


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
