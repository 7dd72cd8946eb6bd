"""Imports a slow library in the background, while the run waits for a service anyway."""

from __future__ import annotations

import contextlib
import threading
from importlib import import_module


def import_ahead(module: str) -> None:
    """Begin to import `module`; whoever needs it imports it as usual and waits at most for the rest.

    The Anthropic SDK takes a second of processor time, a quarter of a run against fast services.
    """

    def work() -> None:
        with contextlib.suppress(ImportError):  # the real import will say so
            import_module(module)

    threading.Thread(target=work, name=f"import {module}", daemon=True).start()
