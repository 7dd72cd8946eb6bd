"""Runs a call that has no time limit of its own in a thread, and stops waiting for it in time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def bounded(call: Callable[[], _T], *, seconds: float) -> _T:
    """The call's result or error; TimeoutError after `seconds`.

    The thread cannot be ended: it is a daemon, and the process ends soon after. The waiting main thread still
    receives signals, so SIGTERM is not delayed.
    """
    results: list[_T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="bounded", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]
