"""The web app's jobs: of every kind that ends differently, drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Final

from chaos.history import Limits

QUEUES: Final = {
    "papers": Limits(concurrency=3, max=8, per_ms=5000),
    "tags": Limits(concurrency=2, max=12, per_ms=4000),
}
"""Two, since queues must not wait for each other; their limits bind all the time."""

KINDS: Final = {"completes": 6, "fails once": 2, "fails": 1, "never": 1, "limited once": 1, "slow": 1}
"""How often each kind comes."""


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """What the producer adds."""

    queue: str
    id: str
    data: dict[str, Any]
    opts: dict[str, Any]

    @property
    def attempts(self) -> int:
        attempts: int = self.opts["attempts"]
        return attempts


def draw_job(rng: random.Random, number: int) -> NewJob:
    """The next job. Its id is given by the producer, so that an add whose answer was lost can be repeated."""
    queue = rng.choice(list(QUEUES))
    kind = rng.choices(list(KINDS), weights=list(KINDS.values()))[0]
    good = {"seconds": round(rng.uniform(0.05, 1.2), 2), "report": {"result": {"n": number}}}
    bad = {"seconds": round(rng.uniform(0.0, 0.4), 2), "exit": 75, "report": {"message": "on purpose"}}
    attempts = rng.choice((2, 3))
    kinds: dict[str, dict[str, Any]] = {
        "completes": good,
        "slow": {**good, "seconds": 3},
        "fails once": {"attempts": [bad, *[good] * (attempts - 1)]},
        "fails": {"attempts": [bad] * attempts},
        "never": {**bad, "exit": 65},
        "limited once": {**good, "first": {"exit": 69, "report": {"retryAfterMs": rng.choice((200, 800))}}},
    }
    opts: dict[str, Any] = {"jobId": f"job-{number}", "attempts": attempts}
    if rng.random() < 0.5:
        opts["backoff"] = {"type": "fixed", "delay": rng.choice((100, 700))}
    if rng.random() < 0.2:
        opts |= rng.choice(({"priority": 3}, {"delay": 400}, {"lifo": True}))
    return NewJob(queue=queue, id=f"job-{number}", data=kinds[kind], opts=opts)
