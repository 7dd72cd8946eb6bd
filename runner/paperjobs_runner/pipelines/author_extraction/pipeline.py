"""Author extraction: the paper's text ▶ Claude ▶ check ▶ store. The shared steps are in `pipelines/paper.py`.

arXiv's list of authors is what both this pipeline and institution-extraction write by; each owns what it found, so
that neither has to wait for the other (`store/authors.py`, `store/institutions.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from paperjobs_runner.errors import AnswerRefused, AnswerTooLong
from paperjobs_runner.pipelines.author_extraction import prompt
from paperjobs_runner.pipelines.author_extraction.answer import AuthorsAnswer
from paperjobs_runner.pipelines.author_extraction.verify import people_by_name, people_of
from paperjobs_runner.pipelines.context import RunContext
from paperjobs_runner.pipelines.institution_extraction.answer import AnsweredAuthor, InstitutionsAnswer
from paperjobs_runner.pipelines.institution_extraction.prompt import first_pages
from paperjobs_runner.pipelines.institution_extraction.verify import verify
from paperjobs_runner.pipelines.paper import open_paper
from paperjobs_runner.services.claude import ask
from paperjobs_runner.services.paper_text import PaperText
from paperjobs_runner.store.findings import Findings, FoundPerson, Provenance

MAX_NAMES: Final = 20
"""Authors named in the job's return value; the rest is in the database."""


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What is known of the authors; without Claude's answer (None) only their names in parts."""

    people: tuple[FoundPerson, ...]
    findings: Findings | None
    provenance: Provenance


def run(context: RunContext) -> Mapping[str, Any]:
    """Do the job; returns a summary of what was stored."""
    with open_paper(context) as paper:
        authors = paper.metadata.authors
        found = _found(context, paper.text(), authors)
        # Here, not above: SQLAlchemy takes 0.2 s, and arXiv should be asked first.
        from paperjobs_runner.store.authors import write_people
        from paperjobs_runner.store.institutions import write_findings

        def store(connection: Any, pk: int) -> None:
            write_people(connection, pk, authors, found.people, details=found.findings is not None)
            if found.findings is not None:
                write_findings(connection, pk, context.assignment.pipeline, found.findings)

        newer = paper.write(store, found.provenance)
        context.step(100, "done")
        return paper.summary(
            found.provenance,
            newer,
            authors=list(authors[:MAX_NAMES]),
            authorCount=len(authors),
            corresponding=[name for name, person in zip(authors, found.people, strict=True) if person.is_corresponding][
                :MAX_NAMES
            ],
            emailCount=sum(len(person.emails) for person in found.people),
            orcidCount=sum(person.orcid is not None for person in found.people),
            dropped=found.provenance.dropped,
        )


def _found(context: RunContext, text: PaperText, authors: tuple[str, ...]) -> _Found:
    source = Provenance(
        extractor=text.extractor, model=context.settings.claude.model, prompt_version=prompt.PROMPT_VERSION
    )
    pages = first_pages(text.pages)
    context.step(60, "asking Claude for the authors")
    try:
        answer = ask(
            system=prompt.SYSTEM,
            question=prompt.question(pages, authors),
            form=AuthorsAnswer,
            settings=context.settings.claude,
            deadline=context.deadline,
            budgets=context.budgets,
        )
    except (AnswerRefused, AnswerTooLong) as error:
        context.tell(f"only the names in arXiv's list are known: {error.message}")
        spent = source.spent(error.usage, outcome=error.outcome, detail=error.message)
        return _Found(people=people_by_name(authors), findings=None, provenance=spent)
    checked = people_of(answer.value, pages, authors)
    findings = verify(_institutions(answer.value), pages, authors)
    dropped = checked.dropped + findings.dropped_institutions
    emails = sum(len(person.emails) for person in checked.people)
    context.tell(f"{len(authors)} authors, {emails} addresses; {dropped} things dropped that the paper does not print")
    return _Found(people=checked.people, findings=findings, provenance=source.spent(answer, dropped=dropped))


def _institutions(answer: AuthorsAnswer) -> InstitutionsAnswer:
    """The affiliations as an answer of institution-extraction, to be checked by its rules."""
    return InstitutionsAnswer(
        institutions=answer.affiliations,
        authors=[AnsweredAuthor(name=one.name, institutions=one.affiliations) for one in answer.authors],
    )
