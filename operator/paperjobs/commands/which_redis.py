"""Which Redis a command talks to: the one that the environment names, else that of the local session."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from paperjobs.errors import SettingsError
from paperjobs.local.statedir import DEFAULT_STATE_DIR, StateDir
from paperjobs.settings import RedisSettings, read_settings

EPILOG: Final = (
    "Redis is the one that REDIS_HOST names (REDIS_PORT, REDIS_USERNAME, REDIS_PASSWORD, REDIS_TLS, "
    "REDIS_TLS_CA, REDIS_DB), else "
    "that of the `paperjobs local` started in the same folder."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--prefix and --state-dir."""
    parser.add_argument("--prefix", default="bull", help="BullMQ's key prefix (default %(default)s)")
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=DEFAULT_STATE_DIR,
        metavar="DIR",
        help="the folder of the local session (default %(default)s)",
    )


def redis_settings(state_dir: Path, env: Mapping[str, str]) -> RedisSettings:
    """The Redis that REDIS_HOST names, else that of the local session; raises SettingsError when there is neither."""
    if env.get("REDIS_HOST", "").strip():
        return read_settings(RedisSettings, env)
    session = StateDir(state_dir.resolve()).session()
    if session is None:
        raise SettingsError(
            f"no Redis to talk to: set REDIS_HOST, or start `paperjobs local` here first "
            f"(it keeps its state in {state_dir}; --state-dir names another folder)"
        )
    return RedisSettings(host=session.redis_host, port=session.redis_port)
