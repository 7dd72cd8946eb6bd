"""arXiv's stand-in: the Atom API and the PDF route, for the sample papers.

Behaviour follows the API user's manual (info.arxiv.org/help/api/user-manual.html) and arxiv-browse's PDF route: an
unknown id gives a feed without entries, a malformed one an entry under `api/errors`; `.pdf` and query strings redirect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote
from xml.sax.saxutils import escape, quoteattr

from paperjobs_standins.exchange import Answer, Request
from paperjobs_standins.papers import SamplePaper, all_papers, pdf_of

ATOM_TYPE = "application/atom+xml; charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"
DEFAULT_MAX_RESULTS = 10
MOST_RESULTS = 30_000
"""The API refuses larger max_results with 400 (user's manual, section 3.1.2)."""

_ID = re.compile(
    r"(?P<base>\d{4}\.\d{4,5}|(?P<archive>[a-z]+(?:-[a-z]+)?)(?:\.[A-Z]{2})?/(?P<number>\d{7}))(?:[vV](?P<version>\d+))?"
)


@dataclass(frozen=True, kw_only=True)
class Edition:
    """One version of one paper."""

    paper: SamplePaper
    version: int


class ArxivStandin:
    """Serves papers as arXiv does; stateless."""

    name = "arxiv"

    def __init__(self, papers: Iterable[SamplePaper] | None = None) -> None:
        self._papers = {paper.arxiv_id: paper for paper in (all_papers() if papers is None else papers)}

    def env(self, base_url: str) -> dict[str, str]:
        """The two addresses that the runner asks."""
        return {"ARXIV_API_URL": f"{base_url}/api/query", "ARXIV_PDF_URL": f"{base_url}/pdf"}

    def failure(self, status: int) -> Answer:
        """arXiv's front end answers errors in plain HTML."""
        text = {429: "Rate exceeded.", 403: "Access denied", 404: "No such document"}.get(status, f"Error {status}")
        return Answer(status=status, body=f"<html><body><h1>{text}</h1></body></html>".encode(), content_type=HTML_TYPE)

    def empty(self) -> Answer:
        """A feed without entries, which arXiv now and then gives for papers that exist."""
        return _feed([], total=0)

    def answer(self, request: Request) -> Answer:
        """Answer the API, the PDF route and the abstract page; 404 elsewhere."""
        path = unquote(request.path)
        if path == "/api/query" and request.method in ("GET", "POST"):
            return self._query({**request.query, **(request.form() if request.method == "POST" else {})})
        if path.startswith("/pdf/") and request.method in ("GET", "HEAD"):
            return self._pdf(request, path.removeprefix("/pdf/"))
        if path.startswith("/abs/") and request.method in ("GET", "HEAD"):
            edition = self._find(path.removeprefix("/abs/"))
            if edition is not None:
                title = escape(edition.paper.title)
                return Answer(body=f"<html><title>{title}</title></html>".encode(), content_type=HTML_TYPE)
        return self.failure(404)

    def _query(self, parameters: dict[str, str]) -> Answer:
        try:
            start = int(parameters.get("start") or 0)
            limit = int(parameters.get("max_results") or DEFAULT_MAX_RESULTS)
        except ValueError:
            return _error("max_results_must_be_an_integer", "start and max_results must be integers")
        if start < 0 or not 0 <= limit <= MOST_RESULTS:
            return _error("max_results_out_of_range", f"max_results must be between 0 and {MOST_RESULTS}")
        if parameters.get("search_query"):
            return _error("search_query", "this stand-in answers id_list only, not search_query")
        ids = [one.strip() for one in parameters.get("id_list", "").split(",") if one.strip()]
        for one in ids:
            if not _ID.fullmatch(one):
                return _error(f"incorrect_id_format_for_{one}", f"incorrect id format for {one}")
        found = [edition for one in ids if (edition := self._find(one)) is not None]
        # The real totalResults counts what was asked for, found or not.
        return _feed(found[start : start + limit], total=len(ids))

    def _pdf(self, request: Request, wanted: str) -> Answer:
        # Both redirects are permanent in arxiv-browse's routes/dissemination.py.
        if wanted.endswith(".pdf") or request.query:
            location = f"{request.base_url}/pdf/{wanted.removesuffix('.pdf')}"
            return Answer(status=301, headers={"Location": location}, content_type=HTML_TYPE)
        edition = self._find(wanted)
        if edition is None:
            return self.failure(404)
        name = f"{edition.paper.arxiv_id.replace('/', '')}v{edition.version}.pdf"
        return Answer(
            body=pdf_of(edition.paper),
            content_type="application/pdf",
            headers={"Content-Disposition": f'inline; filename="{name}"'},
        )

    def _find(self, wanted: str) -> Edition | None:
        match = _ID.fullmatch(wanted)
        if match is None:
            return None
        base = f"{match['archive']}/{match['number']}" if match["archive"] else match["base"]
        paper = self._papers.get(base)
        version = int(match["version"]) if match["version"] else paper.version if paper else 0
        return Edition(paper=paper, version=version) if paper and 1 <= version <= paper.version else None


def _feed(editions: list[Edition], *, total: int) -> Answer:
    entries = "".join(_entry(edition) for edition in editions)
    return _atom(
        f"<opensearch:totalResults>{total}</opensearch:totalResults>"
        "<opensearch:startIndex>0</opensearch:startIndex>"
        f"<opensearch:itemsPerPage>{len(editions)}</opensearch:itemsPerPage>{entries}"
    )


def _error(code: str, text: str) -> Answer:
    entry = (
        f"<entry><id>http://arxiv.org/api/errors#{escape(code)}</id><title>Error</title>"
        f"<summary>{escape(text)}</summary><updated>2026-01-01T00:00:00-05:00</updated>"
        '<link href="http://arxiv.org/api/errors" rel="alternate" type="text/html"/>'
        "<author><name>arXiv api core</name></author></entry>"
    )
    return _atom(f"<opensearch:totalResults>1</opensearch:totalResults>{entry}", status=400)


def _atom(content: str, *, status: int = 200) -> Answer:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom"'
        ' xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" xmlns:arxiv="http://arxiv.org/schemas/atom">'
        "<title>arXiv Query</title><id>http://arxiv.org/api/standin</id>"
        f"<updated>2026-01-01T00:00:00-05:00</updated>{content}</feed>\n"
    )
    return Answer(status=status, body=text.encode(), content_type=ATOM_TYPE)


def _entry(edition: Edition) -> str:
    paper, page = edition.paper, f"{edition.paper.arxiv_id}v{edition.version}"
    optional = {"comment": paper.comment, "journal_ref": paper.journal_ref, "doi": paper.doi}
    parts = [
        f"<id>http://arxiv.org/abs/{page}</id>",
        f"<title>{escape(_wrapped(paper.title))}</title>",
        f"<published>{paper.published}</published>",
        f"<updated>{paper.updated if edition.version == paper.version else paper.published}</updated>",
        f"<summary>  {escape(_wrapped(paper.summary))}\n</summary>",
        *(f"<author><name>{escape(name)}</name></author>" for name in paper.listed),
        *(f"<arxiv:{name}>{escape(value)}</arxiv:{name}>" for name, value in optional.items() if value),
        f'<link href="http://arxiv.org/abs/{page}" rel="alternate" type="text/html"/>',
        f'<link title="pdf" href="http://arxiv.org/pdf/{page}" rel="related" type="application/pdf"/>',
        f"<arxiv:primary_category term={quoteattr(paper.primary_category)}/>",
        *(f'<category term={quoteattr(term)} scheme="http://arxiv.org/schemas/atom"/>' for term in paper.categories),
    ]
    return f"<entry>{''.join(parts)}</entry>"


def _wrapped(text: str) -> str:
    """Broken into lines as the real feed does, with an indented continuation, so that readers must collapse spaces."""
    words, lines, line = text.split(), [], ""
    for word in words:
        if line and len(line) + len(word) >= 78:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return "\n  ".join([*lines, line])
