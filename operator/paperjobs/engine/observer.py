"""What the engine tells of its work as it happens: to metrics, to logs, to the laptop's live table."""

from __future__ import annotations

from typing import Protocol

from paperjobs.model import CancelRequest, Job, Outcome, QueueSettings, QueueStatus, Run


class EngineObserver(Protocol):
    """Called from the engine's loops; must return at once and never raise."""

    def ticked(self, queue: QueueSettings, status: QueueStatus, seconds: float) -> None:
        """A tick ended well; `status` is what it saw."""

    def tick_failed(self, queue: QueueSettings, error: Exception) -> None:
        """A tick could not be made; the engine claims nothing and tries again."""

    def launched(self, queue: QueueSettings, job: Job, run: str) -> None:
        """A claimed job's run was created."""

    def settled(self, queue: QueueSettings, run: Run, outcome: Outcome) -> None:
        """A run's outcome was handed back to BullMQ."""

    def cancelled(self, queue: QueueSettings, request: CancelRequest, run: str | None) -> None:
        """A job was failed as somebody asked; `run` is the name that its run had, if it was claimed."""
