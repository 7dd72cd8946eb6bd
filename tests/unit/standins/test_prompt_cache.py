"""The stand-in's prompt cache bills as Anthropic does."""

from __future__ import annotations

from typing import Any

from paperjobs_standins.prompt_cache import Bill, PromptCache

PAPER = "word " * 4_000


def body(question: str, *, paper: str = PAPER, **more: Any) -> dict[str, Any]:
    blocks = [
        {"type": "text", "text": paper, "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": question},
    ]
    return {"model": "claude-haiku-5-5", "messages": [{"role": "user", "content": blocks}], **more}


class Cache(PromptCache):
    """A cache whose clock is set by hand."""

    def __init__(self) -> None:
        super().__init__(lambda text: len(text) // 4, clock=lambda: self.now)
        self.now = 0.0


def test_a_prefix_is_written_once_and_read_afterwards() -> None:
    cache = Cache()
    first, second = cache.bill(body("one"), 6_000), cache.bill(body("two"), 6_000)
    assert (first.read, second.written) == (0, 0)
    assert first.written == second.read > 4_000
    assert first.plain == second.plain == 6_000 - first.written


def test_another_form_or_model_or_paper_reads_nothing() -> None:
    cache = Cache()
    cache.bill(body("one"), 6_000)
    for other in (
        body("one", output_config={"format": {"type": "json_schema"}}),
        body("one", model="claude-opus-5-5"),
        body("one", paper="x" + PAPER),
    ):
        assert cache.bill(other, 6_000).read == 0


def test_a_prefix_is_forgotten_five_minutes_after_its_last_use() -> None:
    cache = Cache()
    cache.bill(body("one"), 6_000)
    cache.now = 290.0
    assert cache.bill(body("two"), 6_000).read
    cache.now = 500.0
    assert cache.bill(body("three"), 6_000).read
    cache.now = 801.0
    assert not cache.bill(body("four"), 6_000).read


def test_short_and_unmarked_prefixes_are_not_cached() -> None:
    cache = Cache()
    for _ in range(2):
        assert cache.bill(body("one", paper="short"), 50) == Bill(plain=50, written=0, read=0)
        assert cache.bill({"messages": [{"role": "user", "content": PAPER}]}, 5_000).plain == 5_000
