"""What the runner reads from the BullMQ job: its data, when that is too large for the environment, and its claim."""

from __future__ import annotations

from paperjobs_runner.contract import Assignment
from paperjobs_runner.errors import JobUnavailable, Superseded
from paperjobs_runner.services.redis_link import connect
from paperjobs_runner.settings import RedisSettings


def job_key(assignment: Assignment) -> str:
    """The Redis key of the job's hash."""
    return f"{assignment.prefix}:{assignment.queue}:{assignment.job_id}"


def read_payload(assignment: Assignment, settings: RedisSettings | None) -> str:
    """The job's data: from the assignment, else from the job in Redis.

    Raises Superseded when Redis says that the job was claimed again. For a run that has its data already, a Redis that
    cannot be asked is no reason to fail.
    """
    if settings is None:
        if assignment.payload is None:
            raise JobUnavailable("the job's data is too large for the environment; set REDIS_HOST to read it")
        return assignment.payload
    from redis.exceptions import RedisError

    try:
        with connect(settings) as client:
            data, claims = client.hmget(job_key(assignment), ["data", "ats"])
    except (RedisError, OSError) as error:
        if assignment.payload is not None:
            return assignment.payload
        raise JobUnavailable(f"the job's data cannot be read from Redis ({type(error).__name__})") from None
    if claims is not None and claims.isdecimal() and int(claims) > assignment.claim:
        raise Superseded
    if assignment.payload is not None:
        return assignment.payload
    if data is None:
        raise JobUnavailable("the job is no longer in Redis")
    return str(data)
