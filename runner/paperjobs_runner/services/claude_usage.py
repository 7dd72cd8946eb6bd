"""What answers of Claude cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from paperjobs_runner.textclean import one_line

MAX_TOKENS: Final = 100_000_000
"""No model reads as many; two such counts still fit into the database's integers."""
MAX_MODEL: Final = 100
"""Characters of a model's name."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """The model that was asked, and the tokens of all tries for one answer, as Anthropic bills them.

    The three kinds of input exclude each other: what was neither written to the cache nor read from it is in
    `input_tokens`.
    """

    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    def and_of(self, message: Any) -> Usage:
        """This and what the SDK's message cost."""
        return self + Usage(
            model=_name(message.model) or self.model,
            input_tokens=_tokens(message, "input_tokens"),
            output_tokens=_tokens(message, "output_tokens"),
            cache_read_tokens=_tokens(message, "cache_read_input_tokens"),
            cache_write_tokens=_tokens(message, "cache_creation_input_tokens"),
        )

    def __add__(self, later: Usage) -> Usage:
        return Usage(
            model=later.model,
            input_tokens=self.input_tokens + later.input_tokens,
            output_tokens=self.output_tokens + later.output_tokens,
            cache_read_tokens=self.cache_read_tokens + later.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + later.cache_write_tokens,
        )


def _tokens(message: Any, name: str) -> int:
    count = getattr(message.usage, name, None)
    return count if type(count) is int and 0 <= count <= MAX_TOKENS else 0


def _name(model: Any) -> str:
    return one_line(model)[:MAX_MODEL] if isinstance(model, str) else ""
