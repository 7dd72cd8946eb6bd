"""A long paper is cut at section borders to a token budget, with few counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from paperjobs_runner.pipelines.llm_processing.excerpt import MAX_COUNTS, OVERHEAD, excerpt_of, fit
from paperjobs_runner.pipelines.llm_processing.sections import Kind, Section


def section(name: str, kind: Kind, size: int = 1_000) -> Section:
    return Section(heading=name, kind=kind, text="x" * (size - len(name)))


PAPER = (
    section("front", Kind.FRONT),
    section("abstract", Kind.ABSTRACT),
    section("intro", Kind.INTRODUCTION),
    section("related", Kind.BACKGROUND),
    section("methods", Kind.METHODS),
    section("one", Kind.BODY),
    section("two", Kind.BODY),
    section("results", Kind.RESULTS),
    section("conclusion", Kind.CONCLUSION),
    section("references", Kind.ASIDE),
    section("appendix", Kind.APPENDIX),
)


def counting(bytes_per_token: float) -> tuple[list[int], Callable[[Sequence[Section]], int]]:
    """A counter for a text of this density, and the sizes that it was asked for."""
    asked: list[int] = []

    def count(sections: Sequence[Section]) -> int:
        asked.append(size(sections))
        return 500 + int(size(sections) / bytes_per_token)

    return asked, count


def size(sections: Sequence[Section]) -> int:
    return sum(len(one.heading) + len(one.text.encode()) for one in sections)


def test_what_an_abstract_never_needs_is_left_out_of_short_papers_too() -> None:
    excerpt = fit(PAPER, limit=10**6)
    assert excerpt.left_out == ("references",)
    assert [one.heading for one in excerpt.sections] == [one.heading for one in PAPER if one.heading != "references"]


def test_sections_go_in_the_order_of_their_use_and_those_kept_stay_in_theirs() -> None:
    gone = [set(fit(PAPER, limit=count * 1_000).left_out) for count in range(10, 0, -1)]
    steps = [", ".join(later - earlier) for earlier, later in pairwise(gone)]
    assert steps == ["appendix", "related", "one", "two", "methods", "results", "conclusion", "intro", "abstract"]
    assert [one.heading for one in fit(PAPER, limit=4_000).sections] == ["front", "abstract", "intro", "conclusion"]


def test_a_small_section_may_stay_where_a_larger_one_must_go() -> None:
    paper = [
        section("intro", Kind.INTRODUCTION, 5_000),
        section("big", Kind.BODY, 9_000),
        section("small", Kind.APPENDIX, 500),
    ]
    assert [one.heading for one in fit(paper, limit=6_000).sections] == ["intro", "small"]


def test_one_huge_section_is_cut_at_the_end_of_a_sentence() -> None:
    paper = [Section(heading="page 1", kind=Kind.BODY, text="A sentence ends here. " * 500)]
    (kept,) = (excerpt := fit(paper, limit=5_000)).sections
    assert 4_900 < len(kept.text) <= 5_000
    assert kept.text.endswith("here.")
    assert excerpt.left_out == ("page 1 (in part)",)


def test_a_short_paper_is_not_counted_at_all() -> None:
    asked, count = counting(4)
    assert excerpt_of(PAPER, budget=10_000 // 2 + OVERHEAD, count=count).left_out == ("references",)
    assert asked == []


def test_a_paper_that_may_be_too_long_is_counted_once_when_it_is_not() -> None:
    asked, count = counting(4)
    assert excerpt_of(PAPER, budget=6_000, count=count).left_out == ("references",)
    assert asked == [10_000]


def test_a_long_paper_is_counted_as_it_is_and_once_after_the_cut() -> None:
    paper = [section(f"s{number}", Kind.BODY, 20_000) for number in range(20)]
    asked, count = counting(4)
    excerpt = excerpt_of(paper, budget=50_000, count=count)
    assert len(asked) == 2
    assert 40_000 < count(excerpt.sections) <= 50_000


@given(
    sizes=st.lists(st.integers(0, 60_000), max_size=30),
    kinds=st.lists(st.sampled_from(Kind), min_size=30, max_size=30),
    budget=st.integers(3_000, 100_000),
    density=st.floats(2.0, 7.0),
)
def test_the_budget_holds_for_any_paper_of_any_even_density_with_few_counts(
    sizes: list[int], kinds: list[Kind], budget: int, density: float
) -> None:
    paper = [Section(heading=f"s{n}", kind=kinds[n], text="x" * length) for n, length in enumerate(sizes)]
    asked, count = counting(density)
    excerpt = excerpt_of(paper, budget=budget, count=count)
    assert len(asked) <= MAX_COUNTS
    assert count(excerpt.sections) <= budget
    assert len(excerpt.sections) + len(excerpt.left_out) >= len(paper)


def test_a_text_that_is_denser_wherever_it_is_cut_is_still_sent_within_bounds() -> None:
    paper = [section(f"s{number}", Kind.BODY, 20_000) for number in range(20)]
    asked: list[int] = []

    def count(sections: Sequence[Section]) -> int:
        asked.append(size(sections))
        return 50_001

    assert size(excerpt_of(paper, budget=50_000, count=count).sections) < asked[-1]
    assert len(asked) == MAX_COUNTS
