"""Step 3 of a tick: claim a job together with its start in the window, then launch its run. A crash in between wastes a
start at worst and never makes one too many."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from paperjobs.engine.decide import Admit, Wait
from paperjobs.engine.launch import Launcher
from paperjobs.model import Job, QueueSettings, WindowFull, run_name
from paperjobs.ports import JobQueue


@dataclass(frozen=True, kw_only=True)
class Admitter:
    """Starts jobs of one queue."""

    queue: JobQueue
    launcher: Launcher

    async def admit(self, settings: QueueSettings, admission: Admit) -> Wait | None:
        """Start up to `admission.slots` jobs; why it stopped earlier, or None when the slots are used up.

        Launches run side by side, since each waits for the API server. Their errors are raised after all have ended;
        a claim whose launch failed stays claimed and is launched by the next tick.
        """
        launches: list[asyncio.Task[bool]] = []
        stopped: Wait | None = None
        try:
            while len(launches) < admission.slots and stopped is None:
                claimed = await self._claim(settings)
                if isinstance(claimed, Wait):
                    stopped = claimed
                else:
                    run = run_name(settings, claimed.id, claimed.claim)
                    launches.append(asyncio.create_task(self.launcher.launch(settings, claimed, run)))
            results = await asyncio.gather(*launches, return_exceptions=True)
        except BaseException:
            await self._give_up(launches)
            raise
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return stopped

    async def _give_up(self, launches: list[asyncio.Task[bool]]) -> None:
        """A replica that stops leading must act no more: what it had begun, its successor finds and finishes."""
        for launch in launches:
            launch.cancel()
        await asyncio.gather(*launches, return_exceptions=True)

    async def _claim(self, settings: QueueSettings) -> Job | Wait:
        # If this raises, the claim may have been made all the same: settling finds the job.
        claimed = await self.queue.claim(self.queue.new_token(), settings.lock_ms, settings.rate_limit)
        match claimed:
            case Job():
                return claimed
            case WindowFull(opens_at=opens):
                return Wait(reason="WindowFull", until=opens)
            case None:
                return Wait(reason="Idle")
