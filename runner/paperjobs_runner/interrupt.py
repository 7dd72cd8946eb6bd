"""What may end a run from outside: SIGTERM (the pod must leave) and the run's own deadline.

Both arrive as signals and are raised in the main thread wherever it is, so that open transactions roll back and the
report is still written within the pod's grace period. Imports nothing heavy: it is installed before anything else.
"""

from __future__ import annotations

import signal
from types import FrameType


class Interrupted(BaseException):
    """SIGTERM arrived. Not an Exception: no library's `except Exception` may swallow it."""


class OutOfTime(BaseException):
    """The run's deadline passed. Not an Exception, for the same reason."""


def install() -> None:
    """Remember a SIGTERM until `arm`: a process without a handler would die without a report, or not at all (PID 1)."""
    signal.signal(signal.SIGTERM, _remember)


def arm() -> None:
    """From here on a SIGTERM is raised as `Interrupted`, at once if one has come; the caller is ready to report it."""
    pending = signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    signal.signal(signal.SIGTERM, _interrupt)
    if pending:
        _interrupt(signal.SIGTERM, None)


def alarm_after(seconds: float) -> None:
    """Raise `OutOfTime` in the main thread after `seconds`."""
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.setitimer(signal.ITIMER_REAL, max(0.001, seconds))


def disarm() -> None:
    """From here on nothing interrupts: the run is over and writes its report."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _remember(_signal: int, _frame: FrameType | None) -> None:
    # "Ignored" doubles as the memory: the one thing that nobody else sets for SIGTERM.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    # Once: a second SIGTERM must not disturb the clean-up.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Interrupted


def _out_of_time(_signal: int, _frame: FrameType | None) -> None:
    raise OutOfTime
