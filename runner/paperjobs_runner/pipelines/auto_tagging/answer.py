"""The form in which Claude answers. Its limits end a flood; what is asked for is checked in `verify.py`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class AnsweredTag(BaseModel):
    """One tag."""

    model_config = ConfigDict(extra="forbid")

    tag: str = Field(max_length=200, description="A tag of the vocabulary, exactly as the first column spells it")
    confidence: float = Field(
        allow_inf_nan=False, description="From 0 to 1: how sure it is that the paper is about this"
    )


class TagsAnswer(BaseModel):
    """The paper's tags."""

    model_config = ConfigDict(extra="forbid")

    tags: list[AnsweredTag] = Field(max_length=200, description="The best fitting tag first; empty if none fits")
