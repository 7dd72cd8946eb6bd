"""The folder in which a local session keeps what must outlive it: queue, results, records of runs, their logs.

lock            held by the one session that uses the folder; the kernel lets go of it when that session dies
session.json    where the session's Redis and database are, for `paperjobs enqueue`
runs/           NAME.json the record, NAME.pid the process, NAME.out the termination message
logs/           NAME.log what the run printed; the newest are kept
valkey/         the embedded Valkey's append-only file
paperjobs.db    the SQLite database
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paperjobs.errors import PaperJobsError

DEFAULT_STATE_DIR: Final = Path(".paperjobs")
"""In the folder where the command is started; git ignores it."""

KEEP_LOGS: Final = 200
"""Logs of runs that are kept: enough to look back over a working day, little enough to forget."""


class StateDirInUse(PaperJobsError):
    """Another `paperjobs local` uses this state folder; end it, or choose another with --state-dir."""


@dataclass(frozen=True, kw_only=True)
class SessionInfo:
    """Where a session can be reached from the same machine. Holds no secret: only what the session itself started."""

    redis_host: str
    redis_port: int


@dataclass(frozen=True)
class StateDir:
    """Paths inside the state folder, and the lock on it."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> StateDir:
        """The folder at `root`, made when it does not exist; only its owner can look inside."""
        state = cls(root.resolve())
        for folder in (state.root, state.runs, state.logs, state.valkey):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return state

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def valkey(self) -> Path:
        return self.root / "valkey"

    @property
    def database(self) -> Path:
        return self.root / "paperjobs.db"

    def installation(self) -> str:
        """Tells the claims of sessions in this folder from those of any other installation on the same Redis."""
        path = self.root / "installation"
        if not path.exists():
            path.write_text(uuid.uuid4().hex)
        return path.read_text().strip()

    def log(self, run: str) -> Path:
        """What the run prints goes here."""
        return self.logs / f"{run}.log"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Use the folder alone; raises StateDirInUse when another session does."""
        with (self.root / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StateDirInUse from None
            yield

    def prune_logs(self) -> None:
        """Delete all but the newest logs."""
        newest_first = sorted(self.logs.glob("*.log"), key=lambda log: log.stat().st_mtime, reverse=True)
        for log in newest_first[KEEP_LOGS:]:
            log.unlink(missing_ok=True)

    def publish(self, info: SessionInfo) -> None:
        """Let commands in other terminals find the session."""
        draft = self.root / f"session.json.{os.getpid()}"
        draft.write_text(json.dumps({"redisHost": info.redis_host, "redisPort": info.redis_port}))
        draft.replace(self.root / "session.json")

    def session(self) -> SessionInfo | None:
        """The session that used this folder last, running or not; None when there was none."""
        try:
            fields = json.loads((self.root / "session.json").read_text())
            return SessionInfo(redis_host=str(fields["redisHost"]), redis_port=int(fields["redisPort"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
