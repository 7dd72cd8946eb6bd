"""Claims as tests make them: without a limit, under a token of the installation `test`."""

from __future__ import annotations

from paperjobs.bullmq.jobqueue import BullmqJobQueue, new_token
from paperjobs.model import Job


async def take(queue: BullmqJobQueue, lock_ms: int) -> Job | None:
    """The next job, claimed; None when none may be."""
    claimed = await queue.claim(new_token("test"), lock_ms)
    assert claimed is None or isinstance(claimed, Job), "the queue is held"
    return claimed
