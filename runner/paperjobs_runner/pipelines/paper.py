"""The steps that every pipeline shares:

    link ▶ metadata ▶ database ready? ▶ [PDF ▶ text] ▶ … the pipeline's own … ▶ store

The database is asked before anything that costs money. Each step can be repeated: files are kept under stable keys, and
writing the same findings again changes nothing but a timestamp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from paperjobs_runner.errors import PaperUnreadable
from paperjobs_runner.payload import PaperPayload, parse_payload
from paperjobs_runner.pipelines.context import RunContext
from paperjobs_runner.pipelines.record import Record
from paperjobs_runner.services.ahead import import_ahead
from paperjobs_runner.services.arxiv import Arxiv
from paperjobs_runner.services.arxiv_feed import PaperMetadata
from paperjobs_runner.services.feed_cache import FeedCache
from paperjobs_runner.services.once import Once
from paperjobs_runner.services.paper_text import PaperText, extract_text, kept_text
from paperjobs_runner.services.redis_link import opened
from paperjobs_runner.services.storage import Storage, open_storage, storage_key
from paperjobs_runner.store.findings import PaperFacts, Provenance

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from paperjobs_runner.store.write import Store

T = TypeVar("T")


@contextmanager
def open_paper(context: RunContext) -> Iterator[Paper]:
    """The paper that the job names, known to arXiv, with a database that is ready for it."""
    context.step(2, "reading the job")
    payload = parse_payload(context.payload)
    context.log.know({"paper": payload.paper_id, "arxivId": str(payload.arxiv_id)})
    settings, deadline, wanted = context.settings, context.deadline, payload.arxiv_id
    with opened(settings.redis) as redis:
        feeds, once = FeedCache(redis), Once(redis, deadline)
        with Arxiv(settings.arxiv, deadline, context.budgets, feeds) as arxiv:
            context.step(5, "asking arXiv about the paper")
            metadata = once.do(f"arxiv/{wanted}", lambda: feeds.get(wanted), lambda: arxiv.metadata(wanted))
            import_ahead("anthropic")
            context.tell(f"{metadata.id}: {metadata.title[:120]} ({len(metadata.authors)} authors)")
            context.step(15, "opening the database")
            record = Record(context)
            storage = open_storage(settings.storage, deadline)
            yield Paper(
                context, payload=payload, metadata=metadata, arxiv=arxiv, record=record, storage=storage, once=once
            )


class Paper:
    """One run's paper: what is known of it, its text, and the way into the database."""

    def __init__(
        self,
        context: RunContext,
        *,
        payload: PaperPayload,
        metadata: PaperMetadata,
        arxiv: Arxiv,
        record: Record,
        storage: Storage,
        once: Once,
    ) -> None:
        self.payload = payload
        self.metadata = metadata
        self._context = context
        self._arxiv = arxiv
        self._record = record
        self._storage = storage
        self._once = once

    def text(self) -> PaperText:
        """The paper's text, page by page; fetched and extracted only if no run did so before, or does so now."""
        context, paper = self._context, self.metadata.id
        context.step(20, "fetching the PDF")
        text = self._once.do(storage_key(paper, "text"), self._kept, self._extracted)
        context.tell(f"{len(text.pages)} pages of text by {text.extractor}")
        return text

    def kept_text(self) -> PaperText | None:
        """The paper's text if some run has extracted it already; nothing is fetched for it."""
        try:
            return self._kept()
        except PaperUnreadable:
            return None

    def read(self, query: Callable[[Connection], T]) -> T:
        """What `query` reads from the database."""
        return self._record.transact(query)

    def write(self, store: Store, provenance: Provenance) -> int | None:
        """Store the findings; returns the newer version that is stored already, if there is one, and stays."""
        self._context.step(90, "storing the result")
        metadata = self.metadata
        facts = PaperFacts(
            paper_id=self.payload.paper_id,
            arxiv_id=metadata.id,
            title=metadata.title,
            abstract=metadata.abstract,
            primary_category=metadata.primary_category,
            doi=metadata.doi,
            published_at=metadata.published,
            updated_at=metadata.updated,
        )
        newer = self._record.write(facts, provenance, store)
        if newer is not None:
            self._context.tell(f"version {newer} is stored already and stays; nothing was overwritten")
        return newer

    def summary(self, provenance: Provenance, newer: int | None, **found: Any) -> dict[str, Any]:
        """The job's return value: which paper, what was found in short, and what the web app must know of the end."""
        summary: dict[str, Any] = {
            "paperId": self.payload.paper_id,
            "arxivId": self.metadata.id.base,
            "version": self.metadata.id.version,
            **found,
        }
        if provenance.outcome != "done":
            summary |= {"outcome": provenance.outcome, "detail": provenance.detail}
        if newer is not None:
            summary["keptVersion"] = newer
        return summary

    def _kept(self) -> PaperText | None:
        context = self._context
        return kept_text(self.metadata.id, context.folder, storage=self._storage, adobe=context.settings.adobe)

    def _extracted(self) -> PaperText:
        context, pdf = self._context, self._pdf()
        context.step(35, "extracting the text")
        return extract_text(
            self.metadata.id,
            pdf,
            storage=self._storage,
            adobe=context.settings.adobe,
            deadline=context.deadline,
            budgets=context.budgets,
        )

    def _pdf(self) -> Path:
        context, metadata = self._context, self.metadata
        pdf = context.folder / "paper.pdf"
        key = storage_key(metadata.id, "paper.pdf")
        if self._storage.get(key, pdf):
            context.tell("the PDF is in the storage already")
            return pdf
        size = self._arxiv.download_pdf(metadata, pdf)
        self._storage.put(key, pdf, "application/pdf")
        context.tell(f"PDF fetched from arXiv, {size / 1000:.0f} kB")
        return pdf
