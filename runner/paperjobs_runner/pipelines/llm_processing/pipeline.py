"""LLM processing: the paper's text ▶ sections ▶ cut to the budget ▶ Claude ▶ check ▶ store ▶ Asana, if it is set up.

The shared steps are in `pipelines/paper.py`. An answer that is cut off is asked for once more, shorter. When Claude
refuses, or is cut off again, the run ends well and says so; an abstract stored before (with its version) stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from paperjobs_runner.asana_sync.stage import tell_asana
from paperjobs_runner.errors import AnswerInvalid, AnswerRefused, AnswerTooLong
from paperjobs_runner.pipelines.context import RunContext
from paperjobs_runner.pipelines.llm_processing import prompt
from paperjobs_runner.pipelines.llm_processing.answer import StructuredAbstract
from paperjobs_runner.pipelines.llm_processing.excerpt import Excerpt, excerpt_of
from paperjobs_runner.pipelines.llm_processing.sections import Section, sections_of
from paperjobs_runner.pipelines.llm_processing.verify import complaint, verified
from paperjobs_runner.pipelines.paper import open_paper
from paperjobs_runner.services.arxiv_feed import PaperMetadata
from paperjobs_runner.services.claude import ClaudeAnswer, ask, count_tokens
from paperjobs_runner.services.claude_usage import Usage
from paperjobs_runner.services.paper_text import PaperText
from paperjobs_runner.store.findings import FoundAbstract, Provenance

MAX_TOKENS: Final = 8_000
"""Tokens of an answer, thinking included; the texts asked for are about 1,000."""
MAX_SUMMARY: Final = 500
"""Characters of the summary in the job's return value; all of it is in the database."""
MAX_LEFT_OUT: Final = 10
"""Sections named in the job's return value."""


def run(context: RunContext) -> Mapping[str, Any]:
    """Do the job; returns a summary of what was stored."""
    with open_paper(context) as paper:
        text = paper.text()
        abstract, provenance = _Writing(context, paper.metadata, text).result()
        # Here, not above: SQLAlchemy takes 0.2 s, and arXiv should be asked first.
        from paperjobs_runner.store.abstracts import write_abstract

        version = paper.metadata.id.version or 1
        newer = paper.write(lambda connection, pk: write_abstract(connection, pk, version, abstract), provenance)
        asana = tell_asana(context, paper.metadata.id.base)
        context.step(100, "done")
        return paper.summary(
            provenance,
            newer,
            summary=abstract.summary[:MAX_SUMMARY] if abstract else None,
            keyPointCount=len(abstract.key_points) if abstract else 0,
            sectionsLeftOut=list(abstract.sections_left_out[:MAX_LEFT_OUT]) if abstract else [],
            **asana,
        )


@dataclass(frozen=True, kw_only=True)
class _Ending:
    """How the questions ended: with an answer, or without one."""

    answer: StructuredAbstract | None
    outcome: str
    detail: str | None
    usage: Usage


class _Writing:
    """One paper's abstract in the making."""

    def __init__(self, context: RunContext, metadata: PaperMetadata, text: PaperText) -> None:
        self._context, self._metadata, self._text = context, metadata, text

    def result(self) -> tuple[FoundAbstract | None, Provenance]:
        """The abstract, None when Claude gave none; and how it came about."""
        excerpt = self._excerpt()
        ending = self._asked(excerpt)
        found, dropped = None, 0
        if ending.answer is not None:
            checked = verified(ending.answer, self._text.pages)
            if not checked.summary:
                raise AnswerInvalid("Claude's answer could not be used, twice: it is empty", usage=ending.usage)
            dropped = checked.dropped
            found = FoundAbstract(
                summary=checked.summary,
                key_points=checked.key_points,
                methods=checked.methods,
                results=checked.results,
                limitations=checked.limitations,
                sections_left_out=excerpt.left_out,
            )
            taken = f"; {dropped} links or marks taken out" if dropped else ""
            self._context.tell(f"an abstract with {len(found.key_points)} key points{taken}")
        else:
            self._context.tell(f"no abstract: {ending.detail}")
        source = Provenance(
            extractor=self._text.extractor, model=ending.usage.model, prompt_version=prompt.PROMPT_VERSION
        )
        return found, source.spent(ending.usage, dropped=dropped, outcome=ending.outcome, detail=ending.detail)

    def _excerpt(self) -> Excerpt:
        context = self._context
        context.step(55, "choosing the sections")
        excerpt = excerpt_of(
            sections_of(self._text.pages), budget=context.settings.claude.abstract_tokens, count=self._count
        )
        left_out = f"; left out: {', '.join(excerpt.left_out)[:300]}" if excerpt.left_out else ""
        context.tell(f"{len(excerpt.sections)} sections are sent{left_out}")
        return excerpt

    def _count(self, sections: Sequence[Section]) -> int:
        context = self._context
        try:
            return count_tokens(
                system=prompt.SYSTEM,
                paper=prompt.quoted(sections),
                question=prompt.question(self._metadata.title),
                form=StructuredAbstract,
                settings=context.settings.claude,
                deadline=context.deadline,
                budgets=context.budgets,
            )
        except AnswerTooLong:  # too long to be counted: half of it may not be
            return 2 * context.settings.claude.abstract_tokens

    def _asked(self, excerpt: Excerpt) -> _Ending:
        context, spent = self._context, Usage(model=self._context.settings.claude.model)
        paper = prompt.quoted(excerpt.sections)
        context.step(60, "asking Claude for the abstract")
        try:
            try:
                answer = self._ask(paper, shorter=False)
            except AnswerTooLong as error:
                if error.stop_reason != "max_tokens":
                    raise
                context.tell("Claude's answer was cut off; asking for a shorter one")
                spent += error.usage or Usage(model=spent.model)
                answer = self._ask(paper, shorter=True)
        except (AnswerRefused, AnswerTooLong) as error:
            spent += error.usage or Usage(model=spent.model)
            return _Ending(answer=None, outcome=error.outcome, detail=_detail(error), usage=spent)
        return _Ending(answer=answer.value, outcome="done", detail=None, usage=spent + answer)

    def _ask(self, paper: str, *, shorter: bool) -> ClaudeAnswer[StructuredAbstract]:
        context = self._context
        return ask(
            system=prompt.SYSTEM,
            paper=paper,
            question=prompt.question(self._metadata.title, shorter=shorter),
            form=StructuredAbstract,
            check=lambda answer: complaint(answer, self._text.pages),
            keep_rejected=True,
            max_tokens=MAX_TOKENS,
            settings=context.settings.claude,
            deadline=context.deadline,
            budgets=context.budgets,
        )


def _detail(error: AnswerRefused | AnswerTooLong) -> str:
    if isinstance(error, AnswerTooLong) and error.stop_reason != "max_tokens":
        return f"{error.message}; lower PAPERJOBS_ABSTRACT_TOKENS to what the model takes"
    return error.message
