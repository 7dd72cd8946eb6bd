"""Cuts a paper at section borders to a budget of tokens. Pure, but for the counting that it is given.

What goes, in this order: references, acknowledgements and the like (always: an abstract needs none of it), appendices,
related work, other sections from the middle of the paper outwards, then methods, results, conclusions. What stays
keeps its order. A small section may stay although a larger one before it had to go. One section at most is cut inside,
at the end of a paragraph or sentence, so that a paper of one huge section is read as well.

Counting costs a call. A byte is never more than half a token, so most papers need no count; a longer one is counted
once as it is, which tells how many bytes a token of this very text has, and once after each cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from paperjobs_runner.pipelines.llm_processing.sections import Kind, Section

BYTES_PER_TOKEN_AT_LEAST: Final = 2.0
"""UTF-8 bytes: English has 4, dense mathematics 2.5, Chinese 2 to 3."""
BYTES_PER_TOKEN_AT_MOST: Final = 8.0
"""More than that is not even sent to be counted."""
OVERHEAD: Final = 2_000
"""Tokens of the question without the paper: instructions, title, schema."""
MAX_COUNTS: Final = 3
"""Calls for counting one paper."""
MARGIN: Final = 0.95
"""Part of the budget that is aimed at: the kept text may be denser than the whole."""
LAST_RESORT: Final = 0.7
"""What is sent, uncounted, of a text that was over the budget at every count."""
MAX_NAME: Final = 120
MAX_NAMES: Final = 100
"""Sections that are listed as left out."""


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """What of the paper is sent, and the names of the sections that are not."""

    sections: tuple[Section, ...]
    left_out: tuple[str, ...]


def excerpt_of(sections: Sequence[Section], *, budget: int, count: Callable[[Sequence[Section]], int]) -> Excerpt:
    """As much of the paper as `budget` tokens hold; `count` says how many tokens a question about sections has."""
    excerpt = fit(sections, limit=int(budget * BYTES_PER_TOKEN_AT_MOST))
    for _ in range(MAX_COUNTS):
        size = _size(excerpt.sections)
        if size / BYTES_PER_TOKEN_AT_LEAST + OVERHEAD <= budget:
            return excerpt
        tokens = count(excerpt.sections)
        if tokens <= budget:
            return excerpt
        excerpt = fit(sections, limit=int(size * budget / tokens * MARGIN))
    return fit(sections, limit=int(_size(excerpt.sections) * LAST_RESORT))


def fit(sections: Sequence[Section], *, limit: int) -> Excerpt:
    """The sections that fit into `limit` bytes of text, the most useful ones first."""
    kept: dict[int, Section] = {}
    left, cut = limit, False
    for index in sorted(range(len(sections)), key=lambda index: _usefulness(index, sections)):
        section = sections[index]
        if section.kind is Kind.ASIDE:
            continue
        size = _size([section])
        if size > left and not cut and left * 4 >= limit:
            section, cut = replace(section, text=_beginning(section.text, left - len(section.heading.encode()))), True
            size = _size([section])
        if size <= left and (section.text or section.heading):
            kept[index] = section
            left -= size
    left_out = [
        section.name if index not in kept else f"{section.name} (in part)"
        for index, section in enumerate(sections)
        if kept.get(index) != section
    ]
    return Excerpt(
        sections=tuple(kept[index] for index in sorted(kept)),
        left_out=tuple(name[:MAX_NAME] for name in left_out[:MAX_NAMES]),
    )


def _usefulness(index: int, sections: Sequence[Section]) -> tuple[int, float]:
    """A sort key: kinds in their order, within a kind the ends of the paper before its middle."""
    return sections[index].kind.value, -abs(index - (len(sections) - 1) / 2)


def _size(sections: Sequence[Section]) -> int:
    return sum(len(section.heading.encode()) + len(section.text.encode()) for section in sections)


def _beginning(text: str, limit: int) -> str:
    """The beginning of the text, at most `limit` bytes, ended at a paragraph, sentence or word where there is one."""
    head = text.encode()[: max(0, limit)].decode(errors="ignore")
    for border in ("\n\n", ".\n", ". ", " "):
        end = head.rfind(border, len(head) // 2)
        if end >= 0:
            return head[: end + len(border.rstrip())].rstrip()
    return head
