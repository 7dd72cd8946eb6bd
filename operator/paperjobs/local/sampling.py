"""The demo's work: every sample paper on every served queue, and the wait for all of them to end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from paperjobs.bullmq.producer import PaperTask, Producer
from paperjobs.model import JobPhase, JobState, QueueSettings
from paperjobs.settings import RedisSettings

POLL_S: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How one job ended."""

    queue: str
    task: PaperTask
    state: JobState

    @property
    def completed(self) -> bool:
        return self.state.phase is JobPhase.COMPLETED


def sample_tasks() -> list[PaperTask]:
    """The sample papers as the web app would queue them."""
    from paperjobs_standins.papers import sample_papers

    return [
        PaperTask(paper_id=f"paper-{paper.arxiv_id}", arxiv_url=f"https://arxiv.org/abs/{paper.arxiv_id}")
        for paper in sample_papers()
    ]


async def work_off(
    queues: Sequence[QueueSettings], tasks: Sequence[PaperTask], redis: RedisSettings, timeout_s: float
) -> list[Ended]:
    """Add every task to every queue and wait until all have ended; raises TimeoutError."""
    async with AsyncExitStack() as stack:
        added: list[tuple[Producer, str, list[str]]] = []
        for queue in queues:
            producer = await stack.enter_async_context(Producer(queue.queue, redis, prefix=queue.prefix))
            added.append((producer, queue.queue, [await producer.add(task) for task in tasks]))
        async with asyncio.timeout(timeout_s):
            while True:
                ended = [
                    Ended(queue=queue, task=task, state=state)
                    for producer, queue, job_ids in added
                    for task, state in zip(tasks, await producer.states(job_ids), strict=True)
                    if state.phase is None or state.phase.final
                ]
                if len(ended) == len(queues) * len(tasks):
                    return ended
                await asyncio.sleep(POLL_S)
