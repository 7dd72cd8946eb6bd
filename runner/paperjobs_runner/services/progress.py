"""Tells the BullMQ job how far the run is, with BullMQ's own scripts: QueueEvents, bull-board and kubectl show it.

Progress is a courtesy: when Redis fails, the run goes on in silence. The scripts are read from the bullmq package
without importing it, which would cost 0.2 s.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from paperjobs_runner.contract import Assignment
from paperjobs_runner.redaction import Redactor
from paperjobs_runner.services.bullmq_job import job_key
from paperjobs_runner.services.redis_link import connect
from paperjobs_runner.settings import RedisSettings

if TYPE_CHECKING:
    from redis import Redis

MAX_LINE: Final = 500
"""Characters of a log line in the job."""
_FAILURES: Final = 2
"""After that many failures Redis is not asked again in this run: each may cost the connection's time limit."""

_log = logging.getLogger(__name__)


class Progress:
    """Progress and log lines of one job."""

    def __init__(self, assignment: Assignment, settings: RedisSettings | None, redact: Redactor) -> None:
        self._assignment = assignment
        self._settings = settings
        self._redact = redact
        self._client: Redis | None = None
        self._scripts: dict[str, Any] = {}
        self._keep_logs: str | None = None
        self._failures_left = _FAILURES

    def update(self, percent: int, step: str) -> None:
        """BullMQ's `job.updateProgress({percent, step})`."""
        queue = f"{self._assignment.prefix}:{self._assignment.queue}"
        value = json.dumps({"percent": percent, "step": step}, separators=(",", ":"))
        keys = [job_key(self._assignment), f"{queue}:events", f"{queue}:meta"]
        self._quietly(lambda: self._run("updateProgress-3.lua", keys, [self._assignment.job_id, value]))

    def log(self, line: str) -> None:
        """BullMQ's `job.log(line)`."""

        def add() -> None:
            key = job_key(self._assignment)
            line_ = self._redact(line)[:MAX_LINE]
            self._run("addLog-2.lua", [key, f"{key}:logs"], [self._assignment.job_id, line_, self._kept(key)])

        self._quietly(add)

    def close(self) -> None:
        """Give the connection back."""
        if self._client is not None:
            self._quietly(self._client.close)

    def _kept(self, key: str) -> str:
        """How many lines the producer wants kept (`keepLogs`, stored as `kl`); empty for all."""
        if self._keep_logs is None:
            options = json.loads(self._connection().hget(key, "opts") or "{}")
            kept = options.get("kl", options.get("keepLogs"))
            self._keep_logs = str(kept) if isinstance(kept, int) and kept > 0 else ""
        return self._keep_logs

    def _run(self, name: str, keys: list[str], args: list[str]) -> None:
        client = self._connection()
        if name not in self._scripts:
            self._scripts[name] = client.register_script(_script(name))
        self._scripts[name](keys=keys, args=args)

    def _connection(self) -> Redis:
        if self._client is None:
            if self._settings is None:
                raise RuntimeError("no Redis in the settings")
            self._client = connect(self._settings)
        return self._client

    def _quietly(self, call: Callable[[], object]) -> None:
        if self._settings is None or self._failures_left <= 0:
            return
        try:
            call()
        except Exception as error:  # whatever it is, it must not fail the run
            self._failures_left -= 1
            _log.warning("progress was not recorded in Redis", extra={"error": type(error).__name__})


def _script(name: str) -> str:
    spec = find_spec("bullmq")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the bullmq package")
    return (Path(next(iter(spec.submodule_search_locations))) / "commands" / name).read_text(encoding="utf-8")
