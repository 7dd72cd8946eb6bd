"""Whether the cluster takes runs of one queue. While it does not, the queue claims nothing: a job that is claimed and
given back again and again would wander through its queue, and each time use up a start.

The cluster is asked by a rehearsal, once for each runner template, and after a refusal again and again at growing
intervals. A rehearsal that passes opens the gate, but only a real launch makes the intervals short again: what no
rehearsal finds would otherwise be tried every few seconds. For some time after a refusal jobs are let through one by
one, each after a rehearsal of its own: under a quota with room for one, several at once would all but one be refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from paperjobs.engine.clock import seconds
from paperjobs.engine.decide import Admit, Wait
from paperjobs.errors import LaunchRefused
from paperjobs.model import QueueSettings
from paperjobs.ports import Cluster

FIRST_PAUSE_S: Final = 5.0
LAST_PAUSE_S: Final = 60.0
"""Between two questions after a refusal, doubling from the first to the last: a person has to mend something."""

CAREFUL_S: Final = 300.0
"""How long after a refusal jobs are let through one by one."""

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Gate:
    """What the cluster said last of one queue's runs."""

    cluster: Cluster
    clock: Callable[[], float] = seconds
    _asked_about: QueueSettings | None = field(default=None, init=False)
    _refusal: str | None = field(default=None, init=False)
    _ask_again_at: float = field(default=0.0, init=False)
    _careful_until: float = field(default=0.0, init=False)
    _pause: float = field(default=FIRST_PAUSE_S, init=False)

    async def ask(self, settings: QueueSettings) -> None:
        """Rehearse a launch if that is due. Raises ClusterUnavailable: then nothing is known."""
        template = _template(settings)
        if template == self._asked_about and (self._refusal is None or self.clock() < self._ask_again_at):
            return
        if template != self._asked_about:
            self._pause = FIRST_PAUSE_S
        await self._rehearse(settings)
        self._asked_about = template

    async def let_through(self, settings: QueueSettings, admission: Admit, now: int) -> Admit | Wait:
        """How many of those that may start are let through at `now` (ms, Redis' clock). Raises ClusterUnavailable."""
        if self.clock() >= self._careful_until:
            return admission
        await self._rehearse(settings)
        return self.wait(now) or Admit(slots=1)

    async def refused(self, settings: QueueSettings, message: str) -> bool:
        """A real launch was refused; of several side by side, the first one counts. Whether a rehearsal is refused as
        well: then it is not about that one job. Raises ClusterUnavailable."""
        if self._refusal is None:
            self._close(settings, message)
        try:
            await self.cluster.rehearse(settings)
        except LaunchRefused:
            return True
        return False

    def launched(self) -> None:
        """A real launch was accepted."""
        self._pause = FIRST_PAUSE_S

    def wait(self, now: int) -> Wait | None:
        """Why nothing may be claimed at `now` (ms, Redis' clock), or None."""
        if self._refusal is None:
            return None
        left = max(0, round((self._ask_again_at - self.clock()) * 1000))
        return Wait(reason="LaunchRefused", message=self._refusal, until=now + left)

    async def _rehearse(self, settings: QueueSettings) -> None:
        try:
            await self.cluster.rehearse(settings)
        except LaunchRefused as refused:
            self._close(settings, str(refused))
        else:
            self._open(settings)

    def _close(self, settings: QueueSettings, message: str) -> None:
        if message != self._refusal:
            log.error(
                "The cluster refuses to launch runs of this queue, nothing is claimed: %s",
                message,
                extra={"action": "launch_refused", "queue": settings.queue},
            )
        self._refusal = message
        self._ask_again_at = self.clock() + self._pause
        self._careful_until = self.clock() + CAREFUL_S
        self._pause = min(self._pause * 2, LAST_PAUSE_S)

    def _open(self, settings: QueueSettings) -> None:
        if self._refusal is not None:
            log.info(
                "The cluster accepts runs of this queue again",
                extra={"action": "launch_accepted", "queue": settings.queue},
            )
        self._refusal = None


def _template(settings: QueueSettings) -> QueueSettings:
    """The settings as far as a run's objects are made from them: an edited limit needs no rehearsal."""
    return replace(settings, concurrency=0, rate_limit=None, budgets=(), attempts=1, backoff=None, suspend=False)
