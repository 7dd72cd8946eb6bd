"""One queue's loop:

    observe ─▶ settle ─▶ admit (claim ▶ launch) ─▶ report ─▶ sleep until something opens or wakes us

Level-triggered: a tick looks at what is, never at what happened, so every tick may be the first after a crash. An error
ends the tick before anything is claimed, and the next one starts after a growing pause.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from paperjobs.engine.admit import Admitter
from paperjobs.engine.backoff import FIRST_BACKOFF_S, backoff_s
from paperjobs.engine.cancel import AT_ONCE, cancel_waiting
from paperjobs.engine.canceller import Canceller
from paperjobs.engine.clock import seconds
from paperjobs.engine.decide import (
    Admit,
    Launch,
    Snapshot,
    Wait,
    decide_admission,
    decide_settle,
    next_limit,
    next_wake,
    occupied_slots,
)
from paperjobs.engine.gate import Gate
from paperjobs.engine.launch import CANCELLED, Launcher
from paperjobs.engine.news import News
from paperjobs.engine.observer import EngineObserver
from paperjobs.engine.report import outage_status, queue_status, unseen_status
from paperjobs.engine.reporter import Reporter
from paperjobs.engine.restore import lost_starts
from paperjobs.engine.settle import Settler
from paperjobs.errors import PaperJobsError, RedisRefused, RedisUnavailable
from paperjobs.model import QueueSettings
from paperjobs.ports import Cluster, JobQueue

RESYNC_MS: Final = 30_000
"""The slow repair of whatever a wake-up missed; costs one script in Redis."""

BUSY_RESYNC_MS: Final = 5_000
"""While jobs wait or runs are live: progress and the backlog are shown. A full queue gets no marker from BullMQ."""

ONCE_MORE_S: Final = 0.001
"""After a tick that left both work and room for it: something changed while it ran."""

MIRROR_EVERY_S: Final = 60.0
"""The app may wipe its queue's meta (obliterate, removeGlobalConcurrency): our caps come back this soon."""

MIRROR_AGAIN_S: Final = 4.0
"""While Redis may evict jobs: the next tick of a busy queue looks again, so work goes on soon after it was mended."""

log = logging.getLogger(__name__)


class QueueLoop:
    """Drives one queue until it is cancelled."""

    def __init__(
        self,
        settings: QueueSettings,
        queue: JobQueue,
        cluster: Cluster,
        observer: EngineObserver,
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._cluster = cluster
        self._observer = observer
        self._gate = Gate(cluster=cluster)
        launcher = Launcher(queue=queue, cluster=cluster, gate=self._gate, observer=observer)
        canceller = Canceller(queue=queue, cluster=cluster, observer=observer)
        self._settler = Settler(queue=queue, cluster=cluster, launcher=launcher, canceller=canceller, observer=observer)
        self._admitter = Admitter(queue=queue, launcher=launcher)
        self._reporter = Reporter(queue=queue, cluster=cluster)
        self._draining = False
        self._status = unseen_status(settings)
        self._mirrored: object = None
        self._mirrored_at = 0.0
        self._storage_problem = ""
        self._server = ""
        self._deleted: set[str] = set()
        self._wake = asyncio.Event()
        self._news = News(queue, settings.queue, self.wake)

    def update(self, settings: QueueSettings) -> None:
        """Take edited settings; in force at the next tick, which starts now."""
        self._settings = settings
        self._queue.update(settings)
        self.wake()

    def drain(self) -> None:
        """Start nothing any more; settling and reporting go on."""
        self._draining = True
        self.wake()

    def wake(self) -> None:
        """Something changed: tick soon."""
        self._wake.set()

    def cancel(self, job_id: str) -> None:
        """The PaperJob of a job that has not ended was deleted: cancel the job, as soon as Redis can be asked."""
        self._deleted.add(job_id)
        self.wake()

    async def run(self) -> None:
        """Tick until cancelled."""
        watching = asyncio.create_task(self._news.watch())
        failures = 0
        try:
            while True:
                self._wake.clear()
                started = seconds()
                try:
                    pause = await self.tick()
                except Exception as error:
                    failures += 1
                    self._tick_failed(error, first=failures == 1)
                    await self._show_outage(error)
                    # Whoever wakes us (the cluster can be seen again) need not wait for a long pause to end; the first
                    # part of it keeps us from spinning.
                    await asyncio.sleep(FIRST_BACKOFF_S)
                    await self._sleep(backoff_s(failures) - FIRST_BACKOFF_S)
                    continue
                if failures:
                    log.info(
                        "The queue's loop works again after %d failed ticks",
                        failures,
                        extra={"action": "tick_recovered", "queue": self._settings.queue},
                    )
                    failures = 0
                await self._sleep(pause - (seconds() - started))
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            await self._queue.close()

    async def tick(self) -> float:
        """One tick: observe, settle, admit, report. Returns the seconds until the next instant that matters."""
        started = seconds()
        settings = self._settings
        self._news.want_work(False)
        for job_id in tuple(self._deleted):
            await self._queue.request_cancel(job_id, CANCELLED.message)
            self._deleted.discard(job_id)

        # 1. Observe
        snapshot = await self._observe(settings)
        if snapshot.state.server != self._server:
            await self._queue.restore_starts(lost_starts(snapshot))
            self._server = snapshot.state.server
            snapshot = await self._observe(settings)
        # After the first look, which a stale leader is refused: it must not put old limits in the place of new ones.
        if await self._mirror_limits(settings):
            snapshot = await self._observe(settings)
        # 2. Settle
        decisions = decide_settle(snapshot)
        more_cancels = len(cancel_waiting(snapshot.state)) > AT_ONCE
        if self._draining:
            decisions = [decision for decision in decisions if not isinstance(decision, Launch)]
        await self._settler.settle_all(settings, decisions)
        if decisions:
            snapshot = await self._observe(settings)
        # 3. Admit
        if not self._draining:
            await self._gate.ask(settings)
        admission = self._admission(snapshot)
        if isinstance(admission, Admit):
            admission = await self._gate.let_through(settings, admission, snapshot.state.now)
        if isinstance(admission, Admit):
            stopped = await self._admitter.admit(settings, admission)
            snapshot = await self._observe(settings)
            now_full = self._admission(snapshot)
            admission = now_full if isinstance(now_full, Wait) else stopped or now_full
        wait = admission if isinstance(admission, Wait) else None
        # 4. Report
        occupied = occupied_slots(snapshot)
        status = queue_status(snapshot, occupied, wait)
        pending = await self._reporter.report(snapshot, status, wait)
        self._status = status
        self._observer.ticked(settings, status, seconds() - started)

        self._news.want_work(wait is not None and wait.reason in ("Idle", "Paused"))
        if wait is None or more_cancels:
            return ONCE_MORE_S
        instants = [wait.until, pending, next_limit(snapshot), *self._due_launch(snapshot)]
        resync = BUSY_RESYNC_MS if occupied or snapshot.state.counts.waiting else RESYNC_MS
        return next_wake(instants, snapshot.state.now, resync) / 1000

    @staticmethod
    def _due_launch(snapshot: Snapshot) -> list[int | None]:
        """A claim without a run waits for the window: it is launched as soon as that opens."""
        launched_all = all(job.launched for job in snapshot.state.active if job.ours)
        return [] if launched_all else [snapshot.state.window_opens_at]

    async def _observe(self, settings: QueueSettings) -> Snapshot:
        # Runs first: see Snapshot.
        cluster_now = self._cluster.now()
        runs = tuple(self._cluster.runs(settings))
        state = await self._queue.observe(settings.rate_limit, settings.budgets)
        views = self._cluster.paperjobs(settings)
        shown = None if views is None else frozenset(view.job_id for view in views)
        return Snapshot(settings=settings, runs=runs, state=state, cluster_now=cluster_now, shown=shown)

    def _admission(self, snapshot: Snapshot) -> Admit | Wait:
        if self._draining:
            return Wait(reason="Stopping", message="the process is stopping")
        if self._storage_problem:
            return Wait(reason="RedisEvicts", message=self._storage_problem)
        return self._gate.wait(snapshot.state.now) or decide_admission(snapshot, occupied_slots(snapshot))

    async def _mirror_limits(self, settings: QueueSettings) -> bool:
        """Write our limits where stray workers and runs keep to them; and look, as rarely, if Redis may lose jobs.
        Whether they are new, so that what was read before says the old ones."""
        limits = (settings.concurrency, settings.rate_limit, settings.budgets)
        every = MIRROR_AGAIN_S if self._storage_problem else MIRROR_EVERY_S
        edited = limits != self._mirrored
        if edited or seconds() - self._mirrored_at > every:
            self._storage_problem = await self._queue.storage_problem()
            await self._queue.mirror_limits(settings.concurrency, settings.rate_limit)
            if settings.budgets:
                await self._queue.mirror_budgets(settings.budgets)
            self._mirrored, self._mirrored_at = limits, seconds()
        return edited

    async def _sleep(self, seconds: float) -> None:
        # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with the event.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wake.wait()

    async def _show_outage(self, error: Exception) -> None:
        """What people look at says why nothing starts; without Redis no tick comes that far."""
        if isinstance(error, (RedisUnavailable, RedisRefused)):
            with contextlib.suppress(PaperJobsError):
                await self._cluster.show_queue(self._settings, outage_status(self._status, error))

    def _tick_failed(self, error: Exception, *, first: bool) -> None:
        self._observer.tick_failed(self._settings, error)
        expected = isinstance(error, PaperJobsError)
        if first or not expected:
            log.log(
                logging.WARNING if expected else logging.ERROR,
                "A tick failed, nothing is claimed until one works: %s",
                f"{type(error).__name__}: {error}",
                exc_info=None if expected else error,
                extra={"action": "tick_failed", "queue": self._settings.queue},
            )
