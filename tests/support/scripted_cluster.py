"""A Cluster in memory whose runs do as the data of their jobs says (see `support.scripted`)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

from paperjobs.model import Job, QueueSettings
from support.memory_cluster import MemoryCluster
from support.scripted import Step, never, outcome


@dataclass
class ScriptedCluster(MemoryCluster):
    """The n-th run of a job does the n-th step; the last step serves all later runs."""

    running: set[asyncio.Task[None]] = field(default_factory=set)

    async def launch(self, queue: QueueSettings, job: Job, name: str) -> None:
        adopted = name in self.existing
        await super().launch(queue, job, name)
        if not adopted:
            run = asyncio.create_task(self._run(name, _step(job)))
            self.running.add(run)
            run.add_done_callback(self.running.discard)

    def runs_of(self, job_id: str) -> int:
        """How often a job was launched."""
        return sum(job.id == job_id for _, job in self.launched)

    async def close(self) -> None:
        """Stop the runs that are not done."""
        for run in self.running:
            run.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)

    async def _run(self, name: str, step: Step) -> None:
        await asyncio.sleep(step.get("ms", 0) / 1000)
        if name in self.existing:
            self.end(name, outcome(step))


def _step(job: Job) -> Step:
    try:
        steps: list[Step] = json.loads(job.data)["steps"]
    except (ValueError, TypeError, KeyError):
        return never("the job's data is not a script")  # as the runner says of data that it cannot use
    return steps[min(job.claim.number, len(steps)) - 1]
