"""Passes on what changes in the objects that people write: settings to the engine, refusals to the PaperQueues."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from paperjobs.kube.answers import Json
from paperjobs.kube.api import APIBUDGETS, PAPERJOBS, PAPERQUEUES, Resource
from paperjobs.kube.objects import Objects
from paperjobs.kube.paperjob import is_final, is_of, job_id, made_by_hand, queue_key, stray_status, usurper_status
from paperjobs.kube.paperqueue import refused_status
from paperjobs.kube.roster import call_the_roll
from paperjobs.kube.statuswriter import StatusWriter
from paperjobs.model import QueueSettings


class EngineControl(Protocol):
    """The part of the engine that is told of changes."""

    def configure(self, queues: Sequence[QueueSettings]) -> None:
        """The queues to run from now on."""

    def wake(self, key: str) -> None:
        """Something of the queue with that key changed."""

    def cancel(self, key: str, job_id: str) -> None:
        """The PaperJob of a job that has not ended was deleted."""


@dataclass(frozen=True, kw_only=True)
class _Open:
    engine: EngineControl
    objects: Objects
    statuses: StatusWriter


class Desk:
    """Silent until `open`: an engine that knew only some of two conflicting PaperQueues would serve the wrong one."""

    def __init__(
        self, *, default_image: str, serves: Callable[[Collection[QueueSettings]], None], now: Callable[[], int]
    ) -> None:
        """`serves` gets the queues that are served, whenever they are others."""
        self._default_image = default_image
        self._serves = serves
        self._now = now
        self._open: _Open | None = None
        self._served: tuple[QueueSettings, ...] = ()

    def open(self, engine: EngineControl, objects: Objects, statuses: StatusWriter) -> None:
        """Configure the engine from the objects as they are, and again whenever they change."""
        self._open = _Open(engine=engine, objects=objects, statuses=statuses)
        self._call_the_roll(self._open)
        self._tell_all(self._open)

    def changed(self, kind: Resource, body: Json, came_or_went: bool) -> None:
        """An object changed; what was only written into a status by ourselves has no consequences."""
        if self._open is None:
            return
        if kind in (PAPERQUEUES, APIBUDGETS):
            self._call_the_roll(self._open)
        elif kind is PAPERJOBS and came_or_went:
            self._tell(self._open, body)
            went = body["metadata"]["name"] not in self._open.objects.of(PAPERJOBS)
            for settings in self._served:
                named = made_by_hand(body) and body["spec"]["queue"] == settings.name
                if is_of(body, settings) or named or self._open.objects.paperjobs.key_of(body) == settings.key:
                    if went and not is_final(body):
                        self._open.engine.cancel(settings.key, job_id(body))
                    self.wake(settings.key)

    def wake(self, key: str) -> None:
        """A run of the queue with that key changed."""
        if self._open is not None:
            self._open.engine.wake(key)

    def wake_all(self) -> None:
        """The cluster can be seen again."""
        for settings in self._served:
            self.wake(settings.key)

    def _call_the_roll(self, to: _Open) -> None:
        queues = to.objects.of(PAPERQUEUES)
        roster = call_the_roll(queues.values(), to.objects.of(APIBUDGETS).values(), self._default_image)
        for name, refusal in roster.refused.items():
            to.statuses.show(
                PAPERQUEUES, name, refused_status(queues[name], refusal.reason, refusal.message, self._now())
            )
        if roster.served == self._served:
            return
        self._served = roster.served
        self._serves(roster.served)
        to.engine.configure(roster.served)
        self._tell_all(to)

    def _tell_all(self, to: _Open) -> None:
        for body in to.objects.of(PAPERJOBS).values():
            self._tell(to, body)

    def _tell(self, to: _Open, body: Json) -> None:
        """A PaperJob that nobody looks after would otherwise say nothing for ever."""
        name = body["metadata"]["name"]
        if name in to.objects.of(PAPERJOBS) and not is_final(body):
            if self._is_stray(to, body):
                return to.statuses.show(PAPERJOBS, name, stray_status(body, self._now()))
            if self._is_usurper(body):
                return to.statuses.show(PAPERJOBS, name, usurper_status(body, self._now()))
        return to.statuses.forget(PAPERJOBS, name)

    def _is_stray(self, to: _Open, body: Json) -> bool:
        """Whether a person made it for a PaperQueue that is not served; not while a run works on it, or when its job
        is in a queue that another PaperQueue has taken over."""
        if not made_by_hand(body) or (body.get("status") or {}).get("run"):
            return False
        if body["spec"]["queue"] in {settings.name for settings in self._served}:
            return False
        return to.objects.paperjobs.key_of(body) not in {settings.key for settings in self._served}

    def _is_usurper(self, body: Json) -> bool:
        """Whether it names a job, but the operator did not make it; of a queue that is not served, only its labels
        can be asked."""
        if made_by_hand(body):
            return False
        key = queue_key(body)
        return not key or any(settings.key == key and not is_of(body, settings) for settings in self._served)
