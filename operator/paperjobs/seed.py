"""The four queues of the web app with the limits it was planned with: what `paperjobs local` serves.

The same queues are in `crds/queues/` as ready-to-apply PaperQueue objects; a test compares the two.
"""

from __future__ import annotations

from typing import Final

from paperjobs.model import Backoff, BackoffType, QueueSettings, RateLimit

ATTEMPTS: Final = 3
"""Attempts of a job whose producer set none: the seed's value for every queue."""

BACKOFF: Final = Backoff(type=BackoffType.EXPONENTIAL, delay_ms=5_000)
"""The seed's wait before another attempt: 5 s, 10 s, 20 s …"""

MINUTE_MS: Final = 60_000


def _queue(name: str, *, concurrency: int, per_minute: int) -> QueueSettings:
    return QueueSettings(
        name=name,
        queue=name,
        pipeline=name,
        concurrency=concurrency,
        rate_limit=RateLimit(max=per_minute, per_ms=MINUTE_MS),
        attempts=ATTEMPTS,
        backoff=BACKOFF,
    )


SEED_QUEUES: Final = (
    _queue("institution-extraction", concurrency=2, per_minute=10),
    _queue("author-extraction", concurrency=2, per_minute=10),
    _queue("llm-processing", concurrency=1, per_minute=5),
    _queue("auto-tagging", concurrency=3, per_minute=20),
)
"""In the order in which a paper passes through them. The seed gives no limits for author-extraction: those of its
sibling institution-extraction are taken."""
