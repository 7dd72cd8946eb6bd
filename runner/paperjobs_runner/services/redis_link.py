"""The runner's connection to Redis, opened on first use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from paperjobs_runner.settings import RedisSettings, is_pem

if TYPE_CHECKING:
    from redis import Redis

TIMEOUT_S: Final = 3.0
"""Seconds for connecting and for each answer: Redis is near, and a run must not hang on it."""


@contextmanager
def opened(settings: RedisSettings | None) -> Iterator[Redis | None]:
    """A client that is closed at the end; None when there is no Redis."""
    if settings is None:
        yield None
        return
    client = connect(settings)
    try:
        yield client
    finally:
        client.close()


def connect(settings: RedisSettings) -> Redis:
    """A client that gives up quickly and does not retry; nothing is sent before the first command.

    A server that answers READONLY has lost its role in a failover: its connection is closed, and the next command finds
    where the host name leads by then.
    """
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.exceptions import ReadOnlyError
    from redis.retry import Retry

    authority = settings.tls_ca or ""
    return Redis(
        host=settings.host,
        port=settings.port,
        db=settings.db,
        username=settings.username,
        password=settings.password,
        ssl=settings.tls,
        ssl_ca_certs=authority if authority and not is_pem(authority) else None,
        ssl_ca_data=authority if is_pem(authority) else None,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[ReadOnlyError],  # with no retries: closes the connection
        decode_responses=True,
        encoding_errors="replace",  # whatever bytes a producer wrote, its payload is judged by the pipeline
    )
