"""Anthropic's prompt cache as the bill shows it: a prefix that ends at a `cache_control` mark is written, then read.

A prefix is everything up to and including the marked block: model, form of the answer, system prompt, messages.
Prefixes below the minimum are not cached and nobody is told (docs: prompt caching). An entry lives for five minutes
after its last use.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MINIMUM_TOKENS = 1_024
"""Of a prefix; by model it is 512 to 4,096."""
LIFE_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Bill:
    """How a request's input is billed: each token once."""

    plain: int
    written: int
    read: int


class PromptCache:
    """The prefixes that were sent, in memory. Safe to use from several threads."""

    def __init__(self, tokens: Callable[[str], int], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens, self._clock = tokens, clock
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}

    def bill(self, body: Mapping[str, Any], total: int) -> Bill:
        """Account for a request whose input is `total` tokens, and remember its marked prefixes."""
        now = self._clock()
        read = written = 0
        with self._lock:
            for text in _marked_prefixes(body):
                length = min(self._tokens(text), total)
                if length < MINIMUM_TOKENS:
                    continue
                key = hashlib.sha256(text.encode()).hexdigest()
                if self._until.get(key, now) > now:
                    read = length
                written = length - read
                self._until[key] = now + LIFE_S
        return Bill(plain=total - read - written, written=written, read=read)


def _marked_prefixes(body: Mapping[str, Any]) -> Iterator[str]:
    """Every prefix that ends at a mark, the shortest first."""
    form = (body.get("output_config") or {}).get("format")
    prefix = json.dumps([body.get("model"), form], sort_keys=True)
    spoken = [("system", body.get("system")), *((one.get("role"), one.get("content")) for one in body["messages"])]
    for role, content in spoken:
        for block in content if isinstance(content, list) else [{"text": content}]:
            prefix += json.dumps([role, {name: value for name, value in block.items() if name != "cache_control"}])
            if block.get("cache_control"):
                yield prefix
