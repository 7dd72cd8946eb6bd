"""The form in which Claude answers. Affiliations have institution-extraction's form, and are checked as there."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from paperjobs_runner.pipelines.institution_extraction.answer import AnsweredInstitution


class AnsweredPerson(BaseModel):
    """One author."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="The author's name as it stands in the list of authors")
    printed_name: str | None = Field(description="The name as the paper prints it, if it prints it")
    emails: list[str] = Field(
        max_length=10, description="The author's e-mail addresses, each written out as name@host; empty if none"
    )
    orcid: str | None = Field(description="The author's ORCID iD as printed in the paper, if it is")
    is_corresponding: bool = Field(description="Whether the paper says that this is the corresponding author")
    affiliations: list[int] = Field(description="Positions in the list of affiliations, counted from 0")


class AuthorsAnswer(BaseModel):
    """The paper's authors and their affiliations."""

    affiliations: list[AnsweredInstitution]
    authors: list[AnsweredPerson]
