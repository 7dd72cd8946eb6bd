"""The form in which Claude answers. Small and flat on purpose: every field is one that is used."""

from __future__ import annotations

from pydantic import BaseModel, Field


class AnsweredInstitution(BaseModel):
    """One institution."""

    name: str = Field(description="The institution's usual full name, without department, city or postal address")
    department: str | None = Field(description="Department, school or laboratory within it, if the paper names one")
    country: str | None = Field(description="Country in English, only if the paper names it")
    evidence: str = Field(description="The affiliation exactly as printed in the paper, copied character by character")


class AnsweredAuthor(BaseModel):
    """One author and where they work."""

    name: str = Field(description="The author's name as it stands in the list of authors")
    institutions: list[int] = Field(description="Positions in the list of institutions, counted from 0")


class InstitutionsAnswer(BaseModel):
    """All institutions of the paper's authors, and which author belongs to which."""

    institutions: list[AnsweredInstitution]
    authors: list[AnsweredAuthor]
