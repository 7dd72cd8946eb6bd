"""What the runner is told of its run: made in one place for pods and for local processes."""

from __future__ import annotations

from typing import Final

from paperjobs.model import Job, QueueSettings
from paperjobs_runner import contract
from paperjobs_runner.contract import Assignment

RESERVED: Final = frozenset(
    {
        contract.QUEUE,
        contract.PREFIX,
        contract.PIPELINE,
        contract.JOB_ID,
        contract.JOB_NAME,
        contract.RUN,
        contract.CLAIM,
        contract.ATTEMPT,
        contract.PAYLOAD,
        contract.TIMEOUT_SECONDS,
        contract.TERMINATION_LOG,
        contract.BUDGETS,
    }
)
"""Variables that tell a run what it is to do and where it reports; nobody else may set them. The CRD lists them too
(crds/paperqueue.yaml, compared by a test)."""


def assignment(settings: QueueSettings, job: Job, run: str) -> Assignment:
    """The assignment of one run of a claimed job."""
    return Assignment(
        queue=settings.queue,
        prefix=settings.prefix,
        pipeline=settings.pipeline,
        job_id=job.id,
        job_name=job.name,
        run=run,
        claim=job.claim.number,
        attempt=job.attempts_made + 1,
        payload=job.payload,
        timeout_seconds=settings.timeout_s,
        budgets=settings.budgets,
    )
