"""What the runner reads from the BullMQ job: its data, when that is too large for the environment, and its claim."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from paperjobs_runner.contract import Assignment, claim_digest
from paperjobs_runner.errors import JobUnavailable, Superseded
from paperjobs_runner.services.redis_link import connect
from paperjobs_runner.settings import RedisSettings


def job_key(assignment: Assignment) -> str:
    """The Redis key of the job's hash."""
    return f"{assignment.prefix}:{assignment.queue}:{assignment.job_id}"


@dataclass(frozen=True, kw_only=True)
class ClaimedJob:
    """What a run must know of its job before it works."""

    data: str = field(repr=False)
    """The payload as JSON text; untrusted."""
    confirmed_at: datetime | None = None
    """When Redis said that this claim is the job's present one; None when it could not be asked."""


def read_job(assignment: Assignment, settings: RedisSettings | None) -> ClaimedJob:
    """The job's data: from the assignment, else from the job in Redis.

    Raises Superseded when Redis knows the job under another claim: it was claimed again, or removed and added again
    under its id. For a run that has its data already, a Redis that cannot be asked is no reason to fail.
    """
    if settings is None:
        if assignment.payload is None:
            raise JobUnavailable("the job's data is too large for the environment; set REDIS_HOST to read it")
        return ClaimedJob(data=assignment.payload)
    from redis.exceptions import RedisError

    asked_at = datetime.now(UTC)
    try:
        with connect(settings) as client:
            data, claims, token = client.hmget(job_key(assignment), ["data", "ats", "pb"])
    except (RedisError, OSError) as error:
        if assignment.payload is not None:
            return ClaimedJob(data=assignment.payload)
        raise JobUnavailable(f"the job's data cannot be read from Redis ({type(error).__name__})") from None
    if claims is not None and not _is_present(assignment, str(claims), str(token or "")):
        raise Superseded
    payload = data if assignment.payload is None else assignment.payload
    if payload is None:
        raise JobUnavailable("the job is no longer in Redis")
    return ClaimedJob(data=str(payload), confirmed_at=asked_at if claims is not None else None)


def _is_present(assignment: Assignment, claims: str, token: str) -> bool:
    """Whether the job's present claim, as Redis counts and names it, is this run's.

    The name of a run that the operator started holds the claim's token; without a token the job was not claimed by
    an operator, the run was started by hand, and only the claim number can be compared.
    """
    if claims != str(assignment.claim):
        return False
    digest = claim_digest(assignment.prefix, assignment.queue, assignment.job_id, assignment.claim, token)
    return not token or assignment.run.endswith(f"-{digest}")
