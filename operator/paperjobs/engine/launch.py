"""From a claimed job to its run. Used for new claims, and again for claims that a crash left without a run."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from paperjobs.engine.observer import EngineObserver
from paperjobs.errors import LaunchRefused
from paperjobs.model import Job, Outcome, OutcomeKind, QueueSettings
from paperjobs.ports import Cluster, JobQueue

REFUSED_HOLD_MS: Final = 30_000
"""A refusal (quota, admission, a wrong template) is a person's to mend: asking twice a minute is enough."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """Launches claimed jobs of one queue."""

    queue: JobQueue
    cluster: Cluster
    observer: EngineObserver

    async def launch(self, settings: QueueSettings, job: Job, run: str) -> bool:
        """Create the run of a claim; False when the job was failed or returned instead.

        Raises ClusterUnavailable or RedisUnavailable: the claim stays, and settling launches it again.
        """
        if job.deferred_failure is not None:
            outcome = Outcome(kind=OutcomeKind.NEVER, reason="DeferredFailure", message=job.deferred_failure)
            await self.queue.finish(job.id, job.claim, outcome)
            return False
        try:
            await self.cluster.launch(settings, job, run)
        except LaunchRefused as refused:
            log.error(
                "The cluster refused to launch a run; the job is back in its queue, which is held: %s",
                refused,
                extra={"action": "launch_refused", "queue": settings.queue, "job": job.id, "run": run},
            )
            await self.queue.hold(REFUSED_HOLD_MS)
            outcome = Outcome(kind=OutcomeKind.DISRUPTED, reason="LaunchRefused", message=str(refused))
            await self.queue.finish(job.id, job.claim, outcome)
            return False
        await self.queue.record_launch(job.id, job.claim)
        self.observer.launched(settings, job, run)
        return True
