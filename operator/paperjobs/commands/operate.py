"""`paperjobs operator`: serves the queues of one namespace. Run two of them: one leads, the other stands by.

```
stand by ─▶ lead: kopf + watches + engine ─▶ SIGTERM: engine, then kopf, then the lease ─▶ exit 0
```
Probes and metrics are served from the first second to the last.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from paperjobs.bullmq.jobqueue import BullmqJobQueue
from paperjobs.engine.engine import Engine
from paperjobs.errors import SettingsError
from paperjobs.kube.api import Api
from paperjobs.kube.leader import Leader
from paperjobs.kube.lease import Elector
from paperjobs.kube.login import login
from paperjobs.kube.probes import probes
from paperjobs.logs import LoggingObserver, configure_logs
from paperjobs.metrics import Observers, PrometheusObserver
from paperjobs.ports import Cluster
from paperjobs.settings import OperatorSettings, read_settings, variables

SILENT_TERMS: Final = 3
"""Lease durations without a turn of the election's loop after which the process is not alive."""

logger = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT. Raises SettingsError that lists everything wrong in the environment."""
    argparse.ArgumentParser(
        prog="paperjobs operator",
        description="Serve the PaperQueues of one namespace until SIGTERM.",
        epilog="Settings come from the environment: " + ", ".join(variables(OperatorSettings)),
    ).parse_args(argv)
    settings = read_settings(OperatorSettings, os.environ)
    configure_logs(settings.log_level, settings.log_format)
    return asyncio.run(run_operator(settings))


async def run_operator(settings: OperatorSettings) -> int:
    """Take part in the election and lead when elected, until SIGTERM or SIGINT; returns the exit code."""
    serving = asyncio.create_task(Operator(settings).serve(), name="operator")
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if not serving.cancelling():  # A second signal must not cut the hand-over short.
            serving.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await serving
    except asyncio.CancelledError:
        logger.info("Stopped", extra={"action": "stopped"})
        return 0
    except SettingsError:
        raise
    except Exception:
        logger.exception("The operator cannot go on", extra={"action": "died"})
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    return 1


class Operator:
    """One replica: stands by, leads, stands by again."""

    def __init__(self, settings: OperatorSettings) -> None:
        self._settings = settings
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._metrics = PrometheusObserver(self._registry)
        self._leader: Leader | None = None
        self._last_turn = asyncio.get_running_loop().time()
        self._answered = False

    async def serve(self) -> None:
        """Until cancelled; then everything has stopped and the lease is given back."""
        settings = self._settings
        known = await login()
        namespace = settings.namespace or known.namespace
        async with AsyncExitStack() as stack:
            # The election has a client of its own: a renewal must not wait behind a hundred launches.
            election = await stack.enter_async_context(Api(known, namespace, self._metrics))
            elector = Elector(
                election,
                name=settings.lease_name,
                identity=settings.identity,
                seconds=settings.lease_seconds,
                beat=self._beat,
            )
            api = await stack.enter_async_context(Api(known, namespace, self._metrics, may_write=lambda: elector.holds))
            port = await stack.enter_async_context(
                probes(
                    host=settings.http_host,
                    port=settings.http_port,
                    alive=self._not_alive,
                    ready=self._not_ready,
                    registry=self._registry,
                )
            )
            logger.info(
                "Standing by in namespace %s; probes and metrics on port %d",
                namespace,
                port,
                extra={"action": "started", "identity": settings.identity, "port": port},
            )
            while True:
                await elector.lead(lambda: self._lead(api, elector.lease_uid, elector.term))

    async def _lead(self, api: Api, installation: str, term: int) -> None:
        self._leader = Leader(
            api=api,
            make_engine=lambda cluster: self._engine(cluster, installation, term),
            serves=self._metrics.serves,
            default_image=self._settings.runner_image,
            resync_seconds=self._settings.resync_seconds,
        )
        self._metrics.leads(True)
        try:
            await self._leader.lead()
        finally:
            self._metrics.leads(False)
            self._leader = None

    def _engine(self, cluster: Cluster, installation: str, term: int) -> Engine:
        redis = self._settings.redis
        observers = Observers(self._metrics, LoggingObserver())
        return Engine(cluster, lambda queue: BullmqJobQueue(queue, redis, installation, term), observers)

    def _beat(self, answered: bool) -> None:
        self._last_turn = asyncio.get_running_loop().time()
        self._answered = answered

    def _not_alive(self) -> str:
        silent = asyncio.get_running_loop().time() - self._last_turn
        return f"the election stood still for {silent:.0f} s" if silent > self._patience() else ""

    def _not_ready(self) -> str:
        if not self._answered:
            return "the API server has not answered"
        return self._leader.problem if self._leader is not None else ""

    def _patience(self) -> float:
        return float(SILENT_TERMS * self._settings.lease_seconds)
