"""The form in which Claude answers. Its limits lie well above what the prompt asks for: they end a flood, not a style.

The schema that is sent cannot hold lengths and counts; pydantic checks them when the answer is there.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=2_000)]


class StructuredAbstract(BaseModel):
    """What a reader should know of the paper."""

    model_config = ConfigDict(extra="forbid")

    summary: str = Field(min_length=1, max_length=3_000, description="Plain-language summary, 80 to 150 words")
    key_points: list[Annotated[str, Field(min_length=1, max_length=500)]] = Field(
        min_length=1, max_length=10, description="Three to six findings or contributions, one sentence each"
    )
    methods: Text = Field(description="How it was done, at most 120 words; empty if the paper does not say")
    results: Text = Field(description="What was found, at most 120 words; empty if the paper does not say")
    limitations: Text = Field(description="Limits that the paper itself names, at most 80 words; empty if none")
