"""One local session from start to stop: the composition root of `paperjobs local` and of `paperjobs demo`.

Valkey, stand-ins ─▶ database schema ─▶ end what an earlier session left ─▶ engine … ─▶ drain ─▶ stop runs ─▶ settle
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from paperjobs.bullmq.jobqueue import BullmqJobQueue
from paperjobs.engine.engine import Engine
from paperjobs.engine.observer import EngineObserver
from paperjobs.engine.report import show_progress
from paperjobs.errors import PaperJobsError
from paperjobs.local.board import Board
from paperjobs.local.cluster import LocalCluster
from paperjobs.local.statedir import SessionInfo, StateDir
from paperjobs.local.surroundings import Surroundings, surroundings
from paperjobs.model import CancelRequest, Job, Outcome, QueueSettings, QueueStatus, Run

STOP_GRACE_S: Final = 5.0
"""How long runs may take to leave when the session stops: a person is waiting."""

SETTLE_S: Final = 5.0
"""How long the engine may take to give the stopped runs' jobs back; the next session does what is left."""

SETTLE_POLL_S: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class LocalSession:
    """A session that is up."""

    around: Surroundings
    """What it uses, for those who use it too."""
    board: Board
    queues: Mapping[str, BullmqJobQueue]
    engine_task: asyncio.Task[None]

    async def broken(self) -> PaperJobsError:
        """Wait for the end of something that the session cannot be without, and say what."""
        endings = [asyncio.create_task(service.ended()) for service in self.around.services]
        try:
            await asyncio.wait([*endings, self.engine_task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for ending in endings:
                ending.cancel()
        if self.engine_task.done():
            self.engine_task.result()
        return next(ending.result() for ending in endings if ending.done())

    async def read_progress(self) -> None:
        """Bring the board's progress up to date."""
        for name, queue in self.queues.items():
            jobs = [run.job_id for run in self.board.live.values() if run.queue == name]
            for job_id, state in (await queue.states(jobs)).items():
                self.board.progress[(name, job_id)] = show_progress(state.progress) or ""


class _Housekeeper:
    """Forgets what the engine has settled, and passes everything on to the board."""

    def __init__(self, cluster: LocalCluster, board: EngineObserver) -> None:
        self._cluster = cluster
        self._board = board

    def ticked(self, queue: QueueSettings, status: QueueStatus, seconds: float) -> None:
        self._cluster.forget_earlier(queue)
        self._board.ticked(queue, status, seconds)

    def tick_failed(self, queue: QueueSettings, error: Exception) -> None:
        self._board.tick_failed(queue, error)

    def launched(self, queue: QueueSettings, job: Job, run: str) -> None:
        self._board.launched(queue, job, run)

    def settled(self, queue: QueueSettings, run: Run, outcome: Outcome) -> None:
        self._board.settled(queue, run, outcome)
        self._cluster.forget(run.name)

    def cancelled(self, queue: QueueSettings, request: CancelRequest, run: str | None) -> None:
        self._board.cancelled(queue, request, run)
        if run is not None:
            self._cluster.forget(run)


@asynccontextmanager
async def local_session(
    state: StateDir,
    queues: Sequence[QueueSettings],
    env: Mapping[str, str],
    board: Board,
    *,
    valkey_port: int | None = None,
) -> AsyncIterator[LocalSession]:
    """A session that serves `queues` for as long as the context lasts; see `surroundings` for the rest.

    Raises StateDirInUse, SettingsError, or ServiceFailed when a server does not start.
    """
    with state.locked():
        state.prune_logs()
        async with surroundings(state, env, valkey_port) as around:
            opened: dict[str, BullmqJobQueue] = {}
            engine: Engine

            def wake(queue_key: str) -> None:
                engine.wake(queue_key)

            def open_queue(settings: QueueSettings) -> BullmqJobQueue:
                opened[settings.name] = BullmqJobQueue(settings, around.redis, state.installation())
                return opened[settings.name]

            cluster = LocalCluster(state=state, env=around.env, wake=wake)
            await asyncio.to_thread(cluster.recover)
            engine = Engine(cluster, open_queue, _Housekeeper(cluster, board))
            engine.configure([without_budgets_of(around.played, queue) for queue in queues])
            engine_task = asyncio.create_task(engine.run(), name="engine")
            try:
                state.publish(SessionInfo(redis_host=around.redis.host, redis_port=around.redis.port))
                yield LocalSession(
                    around=around,
                    board=board,
                    queues=opened,
                    engine_task=engine_task,
                )
            finally:
                await _stop(engine, engine_task, cluster)


def without_budgets_of(played: Collection[str], queue: QueueSettings) -> QueueSettings:
    """Stand-ins have no terms of use. And their budgets would be those of the real services, for whoever else uses the
    same Redis."""
    return replace(queue, budgets=tuple(budget for budget in queue.budgets if budget.name not in played))


async def _stop(engine: Engine, engine_task: asyncio.Task[None], cluster: LocalCluster) -> None:
    """Give every job back that runs: its run leaves, the engine settles it, nothing new starts."""
    engine.drain()
    await cluster.stop(STOP_GRACE_S)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_S):
            while cluster.unsettled and not engine_task.done():  # noqa: ASYNC110 - the engine has no such event
                await asyncio.sleep(SETTLE_POLL_S)
    engine_task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await engine_task
