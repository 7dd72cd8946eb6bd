"""The four queues of the web app with the limits it was planned with, and the budgets of the services they call: what
`paperjobs local` serves.

The same queues and budgets are in `crds/queues/` and `crds/budgets/` as ready-to-apply objects, with the reason for
each number; a test compares them.
"""

from __future__ import annotations

from typing import Final

from paperjobs.model import Backoff, BackoffType, Budget, QueueSettings, RateLimit

ATTEMPTS: Final = 3
"""Attempts of a job whose producer set none: the seed's value for every queue."""

BACKOFF: Final = Backoff(type=BackoffType.EXPONENTIAL, delay_ms=5_000)
"""The seed's wait before another attempt: 5 s, 10 s, 20 s …"""

MINUTE_MS: Final = 60_000

ARXIV: Final = Budget(name="arxiv", max=1, per_ms=3_000)
ANTHROPIC: Final = Budget(name="anthropic", max=50, per_ms=MINUTE_MS)
ADOBE: Final = Budget(name="adobe", max=5, per_ms=MINUTE_MS)
ASANA: Final = Budget(name="asana", max=150, per_ms=MINUTE_MS)

SEED_BUDGETS: Final = {budget.name: budget for budget in (ARXIV, ANTHROPIC, ADOBE, ASANA)}


def _queue(name: str, *budgets: Budget, concurrency: int, per_minute: int) -> QueueSettings:
    return QueueSettings(
        name=name,
        queue=name,
        pipeline=name,
        concurrency=concurrency,
        rate_limit=RateLimit(max=per_minute, per_ms=MINUTE_MS),
        budgets=budgets,
        attempts=ATTEMPTS,
        backoff=BACKOFF,
    )


SEED_QUEUES: Final = (
    _queue("institution-extraction", ARXIV, ADOBE, ANTHROPIC, concurrency=2, per_minute=10),
    _queue("author-extraction", ARXIV, ADOBE, ANTHROPIC, concurrency=2, per_minute=10),
    _queue("llm-processing", ARXIV, ADOBE, ANTHROPIC, ASANA, concurrency=1, per_minute=5),
    _queue("auto-tagging", ARXIV, ANTHROPIC, concurrency=3, per_minute=20),
)
"""In the order in which a paper passes through them. The seed gives no limits for author-extraction: those of its
sibling institution-extraction are taken."""
