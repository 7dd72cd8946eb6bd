"""One way to connect to Redis, for every queue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from paperjobs.errors import NoLongerLeading, RedisRefused, RedisUnavailable
from paperjobs.settings import RedisSettings

COMMAND_TIMEOUT_S: Final = 10.0
"""A script takes milliseconds; a Redis that needs longer is stuck in a save, a failover or a partition."""

BLOCK_S: Final = 25
"""How long one blocking wait lasts: shorter than the idle time-outs of load balancers and ElastiCache."""

QUIET_BLOCK_S: Final = 55
"""The same for what people seldom do: still shorter than the minute after which load balancers forget a connection."""


class _Client(Redis):
    """A client that starts afresh when its server goes away or turns into a replica.

    After a failover the old primary may keep its connections and answer READONLY for ever: only a new connection finds
    where the host name leads now. And of a restarted server each idle connection would fail once more.
    """

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except (RedisConnectionError, ReadOnlyError):
            await self.connection_pool.disconnect(inuse_connections=False)
            raise


def open_client(settings: RedisSettings) -> Redis:
    """A client that never repeats a command by itself: a repeated claim would be a second start.

    It has no time-out of its own (`ask` has): redis-py's goes through asyncio.wait_for, which in Python 3.11 loses a
    cancellation that comes together with its end, and the loop could not be stopped.
    """
    return _Client(
        **settings.connection(),
        decode_responses=True,
        encoding_errors="surrogateescape",
        socket_connect_timeout=5.0,
        socket_timeout=None,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


async def ask(answer: Awaitable[Any], *, timeout_s: float = COMMAND_TIMEOUT_S) -> Any:
    """Await an answer of Redis; every error of the client or server, and no answer in time, is RedisUnavailable."""
    try:
        async with asyncio.timeout(timeout_s):
            return await answer
    except TimeoutError as error:
        raise RedisUnavailable(f"Redis did not answer within {timeout_s:.0f} s") from error
    except ResponseError as error:
        if str(error).startswith("FENCED "):
            raise NoLongerLeading from error
        if _of_one_job(error):
            raise RedisRefused(f"Redis: {error}") from error
        raise RedisUnavailable(f"Redis: {type(error).__name__}: {error}") from error
    except (RedisError, OSError) as error:
        raise RedisUnavailable(f"Redis: {type(error).__name__}: {error}") from error


def _of_one_job(error: ResponseError) -> bool:
    """Whether a script stumbled over a job's data. Redis' own troubles (OOM, READONLY, MISCONF, …) start with a code in
    capitals; plain "ERR" is cut off by redis-py."""
    code = str(error).split(" ", 1)[0]
    return type(error) is ResponseError and (code == "WRONGTYPE" or not code.isupper())
