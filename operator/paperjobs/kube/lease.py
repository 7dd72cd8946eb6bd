"""Which of the replicas acts: a Lease, held by renewing it, given back on exit.

```
stand by ─▶ the Lease is free, or silent for its duration ─▶ take it ─▶ work, renewing ─▶ give it back
    ▲                                                                      │
    └──────── lost: not renewed in time, or another holds it ◀─ stop work ─┘
```
Every wait and every request of a leader ends before its own deadline, counted on the monotonic clock from the moment
the last successful renewal was *sent*; work is stopped then, and others wait longer than that. Clocks of different
machines are never compared: a Lease is silent when it was not seen to change.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from paperjobs.errors import ClusterUnavailable, LaunchRefused
from paperjobs.kube.answers import AlreadyExists, Conflict, Json
from paperjobs.kube.api import LEASES, Api

DEADLINE_PART: Final = 0.6
"""Part of the lease's duration after which a leader that could not renew stops; the rest is for stopping."""

RENEW_PART: Final = 0.3
"""Part of the lease's duration between two renewals. Each is a write: they are most of what an idle operator costs."""

REQUEST_PART: Final = 0.15
"""Part of the lease's duration that one request may take: two may hang between a renewal's time and the deadline."""

POLL_PART: Final = 0.1
"""Part of the lease's duration between two looks of a standby: also how long a clean hand-over takes at most."""

RELEASE_SECONDS: Final = 1.0
"""Longest time that giving the lease back may take; after that the others wait until it is silent."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A Lease as it was seen to change."""

    version: str
    at: float
    """Monotonic seconds."""


def may_take(lease: Json, unchanged_since: float, now: float) -> bool:
    """Whether a Lease is free: given back, or silent for the duration that its holder promised."""
    spec = lease.get("spec") or {}
    silent_after = float(spec.get("leaseDurationSeconds") or 0)
    return not spec.get("holderIdentity") or now - unchanged_since > silent_after


class Elector:
    """One replica's part in the election."""

    def __init__(self, api: Api, *, name: str, identity: str, seconds: float, beat: Callable[[bool], None]) -> None:
        """`beat` is called on every turn, with whether the API server answered; for probes."""
        self._api = api
        self._name = name
        self._identity = identity
        self._seconds = seconds
        self._beat = beat
        self._lease: Json = {}
        self._renewed_at = 0.0
        self._last_written = ""
        """Version of our own last write: a lease that is still the same has been nobody else's since."""
        self._silent = False

    @property
    def lease_uid(self) -> str:
        """Of the Lease that this replica holds, else empty: the same for all replicas and terms of one installation,
        and unlike that of any other installation."""
        return str(self._lease["metadata"]["uid"]) if self._lease else ""

    @property
    def term(self) -> int:
        """Grows with every change of the leader (Lease: leaseTransitions)."""
        return int(self._lease["spec"].get("leaseTransitions") or 0) if self._lease else 0

    @property
    def holds(self) -> bool:
        """Whether this replica leads at this very moment, by the monotonic clock: true until its own deadline."""
        return bool(self._lease) and _now() < self._renewed_at + self._seconds * DEADLINE_PART

    async def lead(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Stand by until this replica leads, then do `work` until it ends, leadership is lost, or this is cancelled.

        When it returns or raises, `work` has stopped and the lease is given back. Raises what `work` raises."""
        await self._acquire()
        logger.info("This replica leads", extra={"action": "lead"})
        try:
            await self._work_while_renewing(work)
        finally:
            await self._release()

    async def _work_while_renewing(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        working = asyncio.create_task(work(), name="leader's work")
        renewing = asyncio.create_task(self._renew_until_lost(), name="lease renewal")
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Renewed until the work has really stopped, unless the lease is lost already.
            working.cancel()
            await asyncio.wait({working})
            renewing.cancel()
            await asyncio.wait({renewing})
        for task in (working, renewing):
            if not task.cancelled():
                task.result()

    async def _acquire(self) -> None:
        seen: Sighting | None = None
        while True:
            sent_at = _now()
            try:
                lease = await self._api.get(LEASES, self._name, seconds=self._seconds)
                version = lease["metadata"]["resourceVersion"] if lease is not None else ""
                if seen is None or seen.version != version:
                    seen = Sighting(version=version, at=_now())
                if lease is None or version == self._last_written or may_take(lease, seen.at, _now()):
                    sent_at = _now()
                    self._lease = await self._take(lease)
                    self._renewed_at = sent_at
                    self._answered()
                    return
                self._answered()
            except (AlreadyExists, Conflict):
                self._answered()  # Another replica was faster.
            except (ClusterUnavailable, LaunchRefused) as error:
                self._failed("The lease cannot be read or taken", error)
            await asyncio.sleep(max(0.0, sent_at + self._seconds * POLL_PART - _now()))

    async def _take(self, lease: Json | None) -> Json:
        if lease is None:
            return await self._api.create(
                LEASES,
                {
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": {"name": self._name},
                    "spec": self._spec(transitions=0, acquired=_micro_time()),
                },
                seconds=self._seconds * REQUEST_PART,
            )
        transitions = int((lease.get("spec") or {}).get("leaseTransitions") or 0) + 1
        wanted = {**lease, "spec": self._spec(transitions=transitions, acquired=_micro_time())}
        return await self._api.replace(LEASES, self._name, wanted, seconds=self._seconds * REQUEST_PART)

    async def _renew_until_lost(self) -> None:
        while True:
            try:
                async with asyncio.timeout_at(self._renewed_at + self._seconds * DEADLINE_PART):
                    await asyncio.sleep(self._seconds * RENEW_PART)
                    await self._renew_until_done()
            except TimeoutError:
                logger.error("The lease could not be renewed in time; this replica stops acting")
                self._lease = {}
                return
            if not self._lease:
                logger.error("Another replica holds the lease; this one stops acting")
                return

    async def _renew_until_done(self) -> None:
        """Renew, however often it takes; an empty `_lease` afterwards means that another replica holds it."""
        while True:
            sent_at = _now()
            try:
                spec = {**self._lease["spec"], "renewTime": _micro_time()}
                wanted = {**self._lease, "spec": spec}
                self._lease = await self._api.replace(LEASES, self._name, wanted, seconds=self._seconds * REQUEST_PART)
                self._renewed_at = sent_at
                self._answered()
                return
            except Conflict:
                if not await self._still_ours():
                    self._lease = {}
                    return
            except (ClusterUnavailable, LaunchRefused) as error:
                self._failed("The lease cannot be renewed", error)
            await asyncio.sleep(self._seconds * POLL_PART / 2)

    async def _still_ours(self) -> bool:
        """After a conflict: an answer that got lost leaves the lease ours under a new version."""
        try:
            lease = await self._api.get(LEASES, self._name, seconds=self._seconds * REQUEST_PART)
        except ClusterUnavailable:
            return True
        if lease is None or (lease.get("spec") or {}).get("holderIdentity") != self._identity:
            return False
        self._lease = lease
        return True

    async def _release(self) -> None:
        if not self._lease:
            return
        spec = {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro_time()}
        try:
            await self._api.replace(LEASES, self._name, {**self._lease, "spec": spec}, seconds=RELEASE_SECONDS)
            logger.info("The lease is given back", extra={"action": "release"})
        except (ClusterUnavailable, LaunchRefused) as error:
            logger.warning("The lease could not be given back; others take it when it has been silent: %s", error)
        self._lease = {}

    def _answered(self) -> None:
        self._last_written = self._lease["metadata"]["resourceVersion"] if self._lease else self._last_written
        self._silent = False
        self._beat(True)

    def _failed(self, what: str, error: Exception) -> None:
        self._beat(False)
        if not self._silent:  # once, not on every try
            self._silent = True
            logger.warning("%s, trying again: %s", what, error)

    def _spec(self, *, transitions: int, acquired: str) -> Json:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": math.ceil(self._seconds),
            "acquireTime": acquired,
            "renewTime": acquired,
            "leaseTransitions": transitions,
        }


def _now() -> float:
    return asyncio.get_running_loop().time()


def _micro_time() -> str:
    return f"{datetime.now(tz=UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
