"""Log lines as JSON on standard output, each with queue, job, run, attempt and step, and without secrets."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from paperjobs_runner.redaction import Redactor

_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line; `extra=` fields are kept. `fields` and `redact` may change while the run goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, Any] = {}
        self.redact = Redactor()

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **self.fields,
            **{name: value for name, value in vars(record).items() if name not in _OWN},
        }
        if not record.name.startswith("paperjobs_runner"):
            line["logger"] = record.name
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps({name: self._clean(value) for name, value in line.items()}, ensure_ascii=True)

    def _clean(self, value: Any) -> Any:
        if isinstance(value, bool | int | float | None):
            return value
        if isinstance(value, list | tuple):
            return [self._clean(item) for item in value]
        if isinstance(value, Mapping):
            return {str(name): self._clean(item) for name, item in value.items()}
        return self.redact(str(value))


class _Mirror(logging.Handler):
    """Passes our own warnings and errors on, without what `extra` and tracebacks add."""

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        # What tells of a failed write must not be written again.
        if not record.name.endswith(".progress"):
            self._write(f"{record.levelname.lower()}: {record.getMessage()}")


class RunLog:
    """The run's log: set up once, told what it learns (who the run is, which step, which secrets)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._formatter = JsonFormatter()
        handler = logging.StreamHandler(stream or sys.stdout)
        handler.setFormatter(self._formatter)
        root = logging.getLogger()
        root.handlers[:] = [handler]
        root.setLevel(logging.WARNING)
        logging.getLogger("paperjobs_runner").setLevel(logging.INFO)
        # With it the Anthropic SDK would take the levels back when it is imported.
        os.environ.pop("ANTHROPIC_LOG", None)
        # These print whole presigned URLs, prompts or request ids below WARNING.
        for chatty in ("urllib3", "adobe", "anthropic", "asana", "httpx2", "httpcore2", "botocore", "boto3", "alembic"):
            logging.getLogger(chatty).setLevel(logging.WARNING)

    def know(self, fields: Mapping[str, Any]) -> None:
        """Add these fields to every line from now on."""
        self._formatter.fields.update(fields)

    def hide(self, redact: Redactor) -> None:
        """Use this redactor from now on."""
        self._formatter.redact = redact

    @contextmanager
    def mirrored(self, write: Callable[[str], None]) -> Iterator[None]:
        """Give `write` our own warnings and errors too, meanwhile."""
        ours, mirror = logging.getLogger("paperjobs_runner"), _Mirror(write)
        ours.addHandler(mirror)
        try:
            yield
        finally:
            ours.removeHandler(mirror)

    @property
    def step(self) -> str:
        """The step the run is in."""
        return str(self._formatter.fields.get("step", "start"))
