"""Institution extraction, step by step:

    link ▶ metadata ▶ database ready? ▶ PDF ▶ text ▶ Claude ▶ check ▶ store

The database is asked before anything that costs money. Each step can be repeated: files are kept under stable keys, and
writing the same findings again changes nothing but a timestamp.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from paperjobs_runner.payload import PaperPayload, parse_payload
from paperjobs_runner.pipelines.context import RunContext
from paperjobs_runner.pipelines.institution_extraction import prompt
from paperjobs_runner.pipelines.institution_extraction.answer import InstitutionsAnswer
from paperjobs_runner.pipelines.institution_extraction.record import Record
from paperjobs_runner.pipelines.institution_extraction.verify import verify
from paperjobs_runner.services.ahead import import_ahead
from paperjobs_runner.services.arxiv import Arxiv
from paperjobs_runner.services.arxiv_feed import PaperMetadata
from paperjobs_runner.services.claude import ask
from paperjobs_runner.services.paper_text import PaperText, paper_text
from paperjobs_runner.services.storage import Storage, open_storage, storage_key
from paperjobs_runner.store.findings import Findings, Provenance

MAX_NAMES: Final = 20
"""Institutions named in the job's return value; the rest is in the database."""


def run(context: RunContext) -> Mapping[str, Any]:
    """Do the job; returns a summary of what was stored."""
    context.step(2, "reading the job")
    payload = parse_payload(context.payload)
    with Arxiv(context.settings.arxiv, context.deadline, context.budgets) as arxiv:
        context.step(5, "asking arXiv about the paper")
        paper = arxiv.metadata(payload.arxiv_id)
        import_ahead("anthropic")
        context.tell(f"{paper.id}: {paper.title[:120]} ({len(paper.authors)} authors)")
        context.step(15, "opening the database")
        record = Record(context)
        context.step(20, "fetching the PDF")
        storage = open_storage(context.settings.storage, context.deadline)
        pdf = _pdf(context, arxiv, storage, paper)
    context.step(35, "extracting the text")
    text = paper_text(
        paper.id,
        pdf,
        storage=storage,
        adobe=context.settings.adobe,
        deadline=context.deadline,
        budgets=context.budgets,
    )
    context.tell(f"{len(text.pages)} pages of text by {text.extractor}")
    context.step(60, "asking Claude for the institutions")
    findings, provenance = _findings(context, paper, text)
    context.step(90, "storing the result")
    newer = record.write(payload, paper, findings, provenance)
    context.step(100, "done")
    return _summary(context, payload, paper, findings, newer)


def _pdf(context: RunContext, arxiv: Arxiv, storage: Storage, paper: PaperMetadata) -> Path:
    pdf = context.folder / "paper.pdf"
    key = storage_key(paper.id, "paper.pdf")
    if storage.get(key, pdf):
        context.tell("the PDF is in the storage already")
        return pdf
    size = arxiv.download_pdf(paper, pdf)
    storage.put(key, pdf, "application/pdf")
    context.tell(f"PDF fetched from arXiv, {size / 1000:.0f} kB")
    return pdf


def _findings(context: RunContext, paper: PaperMetadata, text: PaperText) -> tuple[Findings, Provenance]:
    pages = prompt.first_pages(text.pages)
    answer = ask(
        system=prompt.SYSTEM,
        question=prompt.question(pages, paper.authors),
        form=InstitutionsAnswer,
        settings=context.settings.claude,
        deadline=context.deadline,
        budgets=context.budgets,
    )
    findings = verify(answer.value, pages, paper.authors)
    context.tell(
        f"{len(findings.institutions)} institutions; "
        f"{findings.dropped_institutions} dropped that the paper does not name"
    )
    provenance = Provenance(
        extractor=text.extractor,
        model=answer.model,
        prompt_version=prompt.PROMPT_VERSION,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
    )
    return findings, provenance


def _summary(
    context: RunContext, payload: PaperPayload, paper: PaperMetadata, findings: Findings, newer: int | None
) -> Mapping[str, Any]:
    summary: dict[str, Any] = {
        "paperId": payload.paper_id,
        "arxivId": paper.id.base,
        "version": paper.id.version,
        "institutions": [found.name for found in findings.institutions[:MAX_NAMES]],
        "institutionCount": len(findings.institutions),
        "authorCount": len(findings.authors),
        "dropped": findings.dropped_institutions,
    }
    if newer is not None:
        context.tell(f"version {newer} is stored already and stays; nothing was overwritten")
        summary["keptVersion"] = newer
    return summary
