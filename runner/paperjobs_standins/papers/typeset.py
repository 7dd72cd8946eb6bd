"""Typesets a sample paper with typst, once: the PDF is kept outside the tree under a hash of all that made it."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict
from datetime import datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path

from paperjobs_standins.papers.model import SamplePaper


def pdf_of(paper: SamplePaper) -> bytes:
    """The paper's PDF, from the cache or typeset now (about 0.1 s)."""
    cached = cache_folder() / f"{_fingerprint(paper)}.pdf"
    try:
        return cached.read_bytes()
    except OSError:
        pdf = typeset(paper)
        _keep(cached, pdf)
        return pdf


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/paperjobs/papers`, by default under `~/.cache`."""
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "paperjobs" / "papers"


def typeset(paper: SamplePaper) -> bytes:
    """Typeset the paper now, with typst's own fonts; the same paper gives the same bytes."""
    import typst

    with as_file(_templates()) as folder:
        pdf = typst.compile(
            str(folder / f"{paper.style}.typ"),
            root=str(folder),
            ignore_system_fonts=True,
            sys_inputs={"paper": _source(paper)},
            timestamp=datetime.fromisoformat(paper.updated),
        )
    if not isinstance(pdf, bytes):
        raise TypeError("typst gave no single PDF")
    return pdf


def _source(paper: SamplePaper) -> str:
    affiliations = [{**asdict(one), "line": one.line} for one in paper.affiliations]
    authors = [{**asdict(one), "line": one.line} for one in paper.authors]
    return json.dumps({**asdict(paper), "authors": authors, "affiliations": affiliations}, ensure_ascii=False)


def _fingerprint(paper: SamplePaper) -> str:
    return hashlib.sha256(f"{_templates_hash()}\0{paper.style}\0{_source(paper)}".encode()).hexdigest()[:32]


@cache
def _templates_hash() -> str:
    digest = hashlib.sha256(version("typst").encode())
    for template in sorted(_templates().iterdir(), key=lambda one: one.name):
        digest.update(template.name.encode() + b"\0" + template.read_bytes())
    return digest.hexdigest()


def _templates() -> Traversable:
    return files("paperjobs_standins.papers").joinpath("templates")


def _keep(path: Path, pdf: bytes) -> None:
    """Write through a temporary file, so that another process never reads half a PDF. Without a cache it works too."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(pdf)
        Path(file.name).replace(path)
    except OSError:
        return
