"""kopf's part: it tells of every change to a PaperQueue or ApiBudget, and writes nothing.

kopf runs in a thread with an event loop of its own: it cancels every task on its loop when it stops, and replaces the
main loop's signal handlers, which are the operator's (verified with kopf 1.45.2). Only `on.event` is used: every other
kind of handler writes to the objects.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import kopf

from paperjobs.errors import ClusterUnavailable
from paperjobs.kube import names
from paperjobs.kube.answers import Json
from paperjobs.kube.api import Resource
from paperjobs.kube.objects import SETTINGS

STOP_SECONDS: Final = 1.0
"""Longest wait for kopf to stop (measured: 0.01 to 0.3 s); its thread is a daemon and cannot act without us."""

RETRY_SECONDS: Final = 1.0
"""Between kopf's tries to reach an API server that is gone; its default goes up to 21 s."""

Saw = Callable[[Resource, Json, bool], None]
"""Kind, object, and whether it was deleted."""


def registry(connect: Callable[[], Awaitable[kopf.ConnectionInfo]], saw: Saw) -> kopf.OperatorRegistry:
    """Handlers for the objects that people write; `saw` is called in kopf's thread."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        return await connect()

    for kind in SETTINGS:

        def tell(event: Mapping[str, Any], kind: Resource = kind, **_: Any) -> None:
            saw(kind, dict(event["object"]), event["type"] == "DELETED")

        kopf.on.event(names.GROUP, names.VERSION, kind.plural, registry=handlers, id=f"tell-{kind.plural}")(tell)
    return handlers


def settings() -> kopf.OperatorSettings:
    """kopf without writes, without scanning the cluster, and patient with an API server that is away."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.peering.standalone = True
    chosen.scanning.disabled = True
    chosen.networking.error_backoffs = itertools.repeat(RETRY_SECONDS)
    chosen.process.ultimate_exiting_timeout = None
    return chosen


async def tell_of_changes(namespace: str, connect: Callable[[], Awaitable[kopf.ConnectionInfo]], saw: Saw) -> None:
    """Run kopf until cancelled; `saw` is called in this loop. Raises ClusterUnavailable when kopf gives up."""
    loop = asyncio.get_running_loop()
    stop = threading.Event()
    ended: asyncio.Future[str] = loop.create_future()

    def saw_in_loop(kind: Resource, body: Json, deleted: bool) -> None:
        if not stop.is_set():
            loop.call_soon_threadsafe(saw, kind, body, deleted)

    def run() -> None:
        reason = "kopf ended by itself"
        try:
            kopf.run(
                registry=registry(connect, saw_in_loop),
                settings=settings(),
                namespaces=[namespace],
                standalone=True,
                stop_flag=stop,
            )
        except Exception as error:  # kopf's errors have no common class; all of them end it
            logging.getLogger(__name__).exception("kopf gave up")
            reason = f"kopf gave up: {error}"
        loop.call_soon_threadsafe(_resolve, ended, reason)

    thread = threading.Thread(target=run, name="kopf", daemon=True)
    thread.start()
    try:
        raise ClusterUnavailable(await asyncio.shield(ended))
    finally:
        stop.set()
        await asyncio.wait({ended}, timeout=STOP_SECONDS)


def _resolve(future: asyncio.Future[str], reason: str) -> None:
    if not future.done():
        future.set_result(reason)
