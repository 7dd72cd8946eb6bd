"""What a local session needs around its engine: Redis, a database with tables, and the external services.

Each is real when the environment names it; what is missing is started here, on loopback, and ended with the session.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from paperjobs.errors import SettingsError
from paperjobs.local.service import Service, ServiceFailed, running
from paperjobs.local.standins import REAL, stand_ins, without_proxy
from paperjobs.local.statedir import StateDir
from paperjobs.local.valkey import embedded_valkey
from paperjobs.settings import RedisSettings, read_settings

REDIS_VARIABLES: Final = (
    "REDIS_HOST",
    "REDIS_PORT",
    "REDIS_USERNAME",
    "REDIS_PASSWORD",
    "REDIS_TLS",
    "REDIS_TLS_CA",
    "REDIS_DB",
)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Everything is up and can be used."""

    redis: RedisSettings
    env: Mapping[str, str] = field(repr=False)
    """The environment of the session's runs; holds secrets."""
    places: Mapping[str, str]
    """For people: what each service is, without a secret."""
    played: frozenset[str]
    """The external services that stand-ins play."""
    services: Sequence[Service]
    """What was started here, and must not end."""


@asynccontextmanager
async def surroundings(
    state: StateDir, given: Mapping[str, str], valkey_port: int | None
) -> AsyncIterator[Surroundings]:
    """Start what the environment `given` does not name.

    `valkey_port` is for an embedded Valkey, see there. Raises SettingsError and ServiceFailed.
    """
    env = without_proxy(given)
    async with AsyncExitStack() as stack:
        # The stand-ins take longest to start: they do so beside the others.
        played = await stack.enter_async_context(stand_ins(state, env))
        services = [played.service] if played is not None else []
        if env.get("REDIS_HOST", "").strip():
            redis = read_settings(RedisSettings, env)
            where = f"{redis.host}:{redis.port}"
        else:
            valkey, redis = await stack.enter_async_context(embedded_valkey(state, valkey_port))
            services.append(valkey)
            where = f"{redis.host}:{redis.port} (embedded Valkey)"
            env = {name: value for name, value in env.items() if name not in REDIS_VARIABLES}
            env |= {"REDIS_HOST": redis.host, "REDIS_PORT": str(redis.port)}
        places = {"Redis": where, "database": "the one that DATABASE_URL names"}
        if not env.get("DATABASE_URL", "").strip():
            env["DATABASE_URL"] = f"sqlite:///{state.database}"
            places["database"] = str(state.database)
        await _upgrade_database(state, env)
        if played is not None:
            env |= await played.env()
        names = played.names if played is not None else frozenset()
        places["stand-ins"] = ", ".join(service for service in REAL if service in names) or "none"
        places["real services"] = ", ".join(service for service in REAL if service not in names) or "none"
        _check(env)
        yield Surroundings(redis=redis, env=env, places=places, played=names, services=services)


async def _upgrade_database(state: StateDir, env: Mapping[str, str]) -> None:
    """Bring the database's tables to this version's form."""
    command = [sys.executable, "-m", "paperjobs_runner", "db", "upgrade"]
    async with running(state, "database", command, env=env) as upgrade:
        if await upgrade.process.wait() != 0:
            raise ServiceFailed(str(upgrade.failure("could not be brought up to date")))


def _check(env: Mapping[str, str]) -> None:
    """What would fail every run is said before the first one starts."""
    from paperjobs_runner.errors import SettingsInvalid
    from paperjobs_runner.settings import read_settings as read_runner_settings

    try:
        read_runner_settings(env)
    except SettingsInvalid as error:
        raise SettingsError(str(error)) from None
