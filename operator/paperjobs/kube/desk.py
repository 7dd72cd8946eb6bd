"""Passes on what changes in the objects that people write: settings to the engine, refusals to the PaperQueues."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from paperjobs.kube.api import APIBUDGETS, PAPERJOBS, PAPERQUEUES, Json, Resource
from paperjobs.kube.objects import Objects
from paperjobs.kube.paperjob import is_stray, stray_status
from paperjobs.kube.paperqueue import refused_status
from paperjobs.kube.roster import call_the_roll
from paperjobs.kube.statuswriter import StatusWriter
from paperjobs.model import QueueSettings


class EngineControl(Protocol):
    """The part of the engine that is told of changes."""

    def configure(self, queues: Sequence[QueueSettings]) -> None:
        """The queues to run from now on."""

    def wake(self, queue_name: str) -> None:
        """Something of that queue changed."""


@dataclass(frozen=True, kw_only=True)
class _Open:
    engine: EngineControl
    objects: Objects
    statuses: StatusWriter


class Desk:
    """Silent until `open`: an engine that knew only some of two conflicting PaperQueues would serve the wrong one."""

    def __init__(
        self, *, default_image: str, serves: Callable[[Collection[str]], None], now: Callable[[], int]
    ) -> None:
        """`serves` gets the names of the PaperQueues that are served, whenever they are others."""
        self._default_image = default_image
        self._serves = serves
        self._now = now
        self._open: _Open | None = None
        self._served: tuple[QueueSettings, ...] = ()

    def open(self, engine: EngineControl, objects: Objects, statuses: StatusWriter) -> None:
        """Configure the engine from the objects as they are, and again whenever they change."""
        self._open = _Open(engine=engine, objects=objects, statuses=statuses)
        self._call_the_roll(self._open)

    def changed(self, kind: Resource, body: Json, came_or_went: bool) -> None:
        """An object changed; what was only written into a status by ourselves has no consequences."""
        if self._open is None:
            return
        if kind in (PAPERQUEUES, APIBUDGETS):
            self._call_the_roll(self._open)
        elif kind is PAPERJOBS and came_or_went:
            self.wake(body["spec"]["queue"])
            self._tell_strays(self._open)

    def wake(self, queue_name: str) -> None:
        """A run of that queue changed."""
        if self._open is not None:
            self._open.engine.wake(queue_name)

    def wake_all(self) -> None:
        """The cluster can be seen again."""
        for settings in self._served:
            self.wake(settings.name)

    def _call_the_roll(self, to: _Open) -> None:
        queues = to.objects.of(PAPERQUEUES)
        roster = call_the_roll(queues.values(), to.objects.of(APIBUDGETS), self._default_image)
        if roster.served != self._served:
            self._served = roster.served
            self._serves([settings.name for settings in roster.served])
            to.engine.configure(roster.served)
        for name, refusal in roster.refused.items():
            to.statuses.show(
                PAPERQUEUES, name, refused_status(queues[name], refusal.reason, refusal.message, self._now())
            )
        self._tell_strays(to)

    def _tell_strays(self, to: _Open) -> None:
        """A PaperJob whose queue nobody serves would otherwise say nothing for ever."""
        served = {settings.name for settings in self._served}
        for name, body in to.objects.of(PAPERJOBS).items():
            if is_stray(body, served):
                to.statuses.show(PAPERJOBS, name, stray_status(body, self._now()))
            else:
                to.statuses.forget(PAPERJOBS, name)
