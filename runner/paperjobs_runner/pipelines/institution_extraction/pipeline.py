"""Institution extraction: the paper's text ▶ Claude ▶ check ▶ store. The shared steps are in `pipelines/paper.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from paperjobs_runner.pipelines.context import RunContext
from paperjobs_runner.pipelines.institution_extraction import prompt
from paperjobs_runner.pipelines.institution_extraction.answer import InstitutionsAnswer
from paperjobs_runner.pipelines.institution_extraction.verify import verify
from paperjobs_runner.pipelines.paper import open_paper
from paperjobs_runner.services.arxiv_feed import PaperMetadata
from paperjobs_runner.services.claude import ask
from paperjobs_runner.services.paper_text import PaperText
from paperjobs_runner.store.findings import Findings, Provenance

MAX_NAMES: Final = 20
"""Institutions named in the job's return value; the rest is in the database."""


def run(context: RunContext) -> Mapping[str, Any]:
    """Do the job; returns a summary of what was stored."""
    with open_paper(context) as paper:
        text = paper.text()
        context.step(60, "asking Claude for the institutions")
        findings, provenance = _findings(context, paper.metadata, text)
        # Here, not above: SQLAlchemy takes 0.2 s, and arXiv should be asked first.
        from paperjobs_runner.store.institutions import write_findings

        newer = paper.write(
            lambda connection, pk: write_findings(connection, pk, context.assignment.pipeline, findings), provenance
        )
        context.step(100, "done")
        return paper.summary(
            provenance,
            newer,
            institutions=[found.name for found in findings.institutions[:MAX_NAMES]],
            institutionCount=len(findings.institutions),
            authorCount=len(findings.authors),
            dropped=findings.dropped_institutions,
        )


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
        cache_read_tokens=answer.cache_read_tokens,
        cache_write_tokens=answer.cache_write_tokens,
        dropped=findings.dropped_institutions,
    )
    return findings, provenance
