"""Auto-tagging: categories ▶ vocabulary ▶ text ▶ Claude ▶ check ▶ store. The shared steps are in `pipelines/paper.py`.

The beginning of the paper's text goes into the question when it is kept already: another pipeline's run has fetched it.
Title, abstract and categories say what a paper is about well enough that tags alone are no reason to download it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from paperjobs_runner.arxiv_categories import canonical_categories
from paperjobs_runner.errors import AnswerRefused, AnswerTooLong
from paperjobs_runner.pipelines.auto_tagging import prompt
from paperjobs_runner.pipelines.auto_tagging.answer import TagsAnswer
from paperjobs_runner.pipelines.auto_tagging.verify import Accepted, Limits, accepted, complaint
from paperjobs_runner.pipelines.context import RunContext
from paperjobs_runner.pipelines.paper import Paper, open_paper
from paperjobs_runner.services.claude import ask
from paperjobs_runner.store.findings import Provenance

if TYPE_CHECKING:
    from paperjobs_runner.store.vocabulary import VocabularyTag

MAX_TOKENS: Final = 2_000
"""Tokens of an answer, thinking included; eight tags need about 200."""


def run(context: RunContext) -> Mapping[str, Any]:
    """Do the job; returns a summary of what was stored."""
    with open_paper(context) as paper:
        metadata = paper.metadata
        categories = canonical_categories(metadata.categories, metadata.primary_category)
        # Here, not above: SQLAlchemy takes 0.2 s, and arXiv should be asked first.
        from paperjobs_runner.store.tags import write_tags
        from paperjobs_runner.store.vocabulary import read_vocabulary

        found, provenance = _tags(context, paper, categories, paper.read(read_vocabulary))
        tags = found.tags if found is not None else None
        newer = paper.write(lambda connection, pk: write_tags(connection, pk, categories, tags), provenance)
        context.step(100, "done")
        return paper.summary(
            provenance,
            newer,
            tags=[tag.slug for tag in tags or ()],
            categories=list(categories),
            dropped=provenance.dropped,
        )


def _tags(
    context: RunContext, paper: Paper, categories: tuple[str, ...], vocabulary: list[VocabularyTag]
) -> tuple[Accepted | None, Provenance]:
    """The tags, None when Claude gave none; and how they came about."""
    model, tagging = context.settings.claude.model, context.settings.tagging
    text = paper.kept_text()
    source = Provenance(
        extractor=text.extractor if text is not None else "none", model=model, prompt_version=prompt.PROMPT_VERSION
    )
    if not vocabulary:
        context.tell("the vocabulary is empty: no tag to choose; fill it with `paperjobs-runner tags import`")
        return Accepted(tags=(), dropped=0), source
    slugs = frozenset(tag.slug for tag in vocabulary)
    limits = Limits(most=tagging.max_tags, min_confidence=tagging.min_confidence)
    context.step(60, "asking Claude for the tags")
    try:
        answer = ask(
            system=prompt.system(vocabulary, limits.most),
            question=prompt.question(paper.metadata, categories, "\n".join(text.pages) if text is not None else ""),
            form=TagsAnswer,
            check=lambda answer: complaint(answer, slugs, limits.most),
            keep_rejected=True,
            max_tokens=MAX_TOKENS,
            settings=context.settings.claude,
            deadline=context.deadline,
            budgets=context.budgets,
        )
    except (AnswerRefused, AnswerTooLong) as error:
        context.tell(f"no tags: {error.message}")
        return None, source.spent(error.usage, outcome=error.outcome, detail=error.message)
    found = accepted(answer.value, slugs, limits)
    context.tell(f"{len(found.tags)} tags; {found.dropped} of Claude's answers are not among them")
    return found, source.spent(answer, dropped=found.dropped)
