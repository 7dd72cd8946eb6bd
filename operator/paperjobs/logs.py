"""Log lines: a sentence for people, fields for machines. Every line has queue, job, run and attempt.

Fields come from `extra={...}` at the call. `queue` is the BullMQ queue, in metrics too; `paperqueue` is the object that
serves it. Job ids and messages are untrusted; JSON keeps them on one line, and the text form escapes what a terminal
would obey.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from paperjobs.model import CancelRequest, Job, Outcome, QueueSettings, QueueStatus, Run
from paperjobs.settings import LogFormat, LogLevel

FIELDS: Final = ("queue", "job", "run", "attempt")
"""In every line; null where they do not apply."""

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", *FIELDS}

logger = logging.getLogger(__name__)


def configure_logs(level: LogLevel, form: LogFormat, stream: TextIO | None = None) -> None:
    """Send every log line of the process to `stream` (default stderr), in one form."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form is LogFormat.JSON else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Other people's libraries: what they say at INFO is about themselves.
    for library in ("kopf", "kubernetes", "aiohttp", "asyncio", "redis", "bullmq"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # Says at each start that signals are not handled in a thread, which is meant so.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    # Say every second that the API server is away; our own watch says it once.
    for talkative in ("kopf._cogs.clients", "kopf._core.reactor.observation"):
        logging.getLogger(talkative).setLevel(logging.CRITICAL)


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """For a terminal: time, level, sentence, and the fields that are set."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items() if value is not None)
        time = datetime.fromtimestamp(record.created).astimezone()
        line = f"{time:%H:%M:%S} {record.levelname.lower():7} {record.getMessage()}" + (f"  {fields}" if fields else "")
        line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)
        return line + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    given = vars(record)
    others = {name: value for name, value in given.items() if name not in _STANDARD}
    return {**{name: given.get(name) for name in FIELDS}, **others}


class LoggingObserver:
    """An EngineObserver that logs what happens to jobs. Ticks that fail are logged by the engine, with their cause."""

    def ticked(self, queue: QueueSettings, status: QueueStatus, seconds: float) -> None:
        """Nothing to say: what a tick did is told by the others."""

    def tick_failed(self, queue: QueueSettings, error: Exception) -> None:
        """The engine's own line says it."""

    def launched(self, queue: QueueSettings, job: Job, run: str) -> None:
        fields = {"job": job.id, "run": run, "attempt": job.attempts_made + 1}
        logger.info("Launched a run", extra={"action": "launched", **_names(queue), **fields})

    def settled(self, queue: QueueSettings, run: Run, outcome: Outcome) -> None:
        fields = {**_names(queue), "job": run.job_id, "run": run.name, "attempt": run.attempt}
        said = f"{outcome.reason}: {outcome.message}" if outcome.message else outcome.reason
        logger.info(
            "A run ended as %s (%s)",
            outcome.kind.value,
            said,
            extra={"action": "settled", "reason": outcome.reason, **fields},
        )

    def cancelled(self, queue: QueueSettings, request: CancelRequest, run: str | None) -> None:
        fields = {**_names(queue), "job": request.job_id, "run": run}
        logger.info("A job was %s", request.message, extra={"action": "cancelled", **fields})


def _names(queue: QueueSettings) -> dict[str, str]:
    return {"queue": queue.queue, "paperqueue": queue.name}
