"""One run of chaos: jobs are added all the time, operators are killed all the time, and at the end the calm must come.

```
start the parts ─▶ storm: producers, replicas, calamities … until so many kills ─▶ calm: all jobs end ─▶ judge
```
The seed decides which jobs, which points and which calamities in which order; their interleaving is the machine's.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from redis.exceptions import RedisError

from chaos import apihistory
from chaos.calamities import LEADER_SECONDS, Calamities
from chaos.check import Violation, check, check_after_losses, most_live_pods, most_starts
from chaos.history import Added, Event, History, Started
from chaos.history import Final as FinalState
from chaos.jobs import QUEUES, NewJob, draw_job
from chaos.parts import NAMESPACE, Parts, running_parts
from chaos.replicas import Replicas
from support.webapp import WebAppError

BACKLOG: Final = 12
"""Jobs that are added and not ended: enough that the limits bind, few enough that the calm comes soon."""

CALM_SECONDS: Final = 150.0
"""Until every job has ended after the last calamity; then something is lost."""

REPLICAS: Final = 2

ADD_SECONDS: Final = 20.0
"""For one `queue.add`, however often Redis goes away meanwhile; then it is asked for once more."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of a run."""

    summary: dict[str, Any]
    violations: list[Violation]


async def rage(folder: Path, *, seed: int, kills: int, fsync: str, say: Callable[[str], None]) -> Report:
    """One run; `folder` must be empty and exist, and keeps every log. `fsync` is always or everysec."""
    async with running_parts(folder, fsync) as parts:
        return await _Storm(parts, seed=seed, kills=kills, fsync=fsync, say=say).rage()


class _Storm:
    def __init__(self, parts: Parts, *, seed: int, kills: int, fsync: str, say: Callable[[str], None]) -> None:
        self._parts = parts
        self._seed, self._kills, self._fsync, self._say = seed, kills, fsync, say
        self._replicas = Replicas(parts.start, random.Random(f"{seed} points"), parts.folder, REPLICAS)
        self._calamities = Calamities(parts, self._replicas, seed)
        self._history = History(limits=QUEUES)
        self._jobs: dict[str, NewJob] = {}
        self._seen_to = dict.fromkeys(QUEUES, "0")
        self._began = time.monotonic()
        self._raging = True

    async def rage(self) -> Report:
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(self._replicas.keep()), tasks.create_task(self._follow_events())]
            producing = tasks.create_task(self._produce())
            await self._replicas.leader(LEADER_SECONDS)
            while self._replicas.killed.total() < self._kills:
                name = await self._calamities.next()
                self._note(f"{name}; {self._replicas.killed.total()} kills, {len(self._jobs)} jobs")
            self._note("calm")
            await self._calamities.heal()
            self._replicas.disarm()
            self._raging = False
            await producing  # What was begun is added: half of an addition cannot be judged.
            unfinished = await self._wait_for_calm()
            await asyncio.sleep(2.0)  # nothing may come after the end
            for task in background:
                task.cancel()
        if unfinished:
            self._note(f"not ended: {unfinished}")
        await self._gather()
        return self._report()

    def _note(self, text: str) -> None:
        self._say(f"{time.monotonic() - self._began:7.1f} s  {text}")

    async def _produce(self) -> None:
        rng = random.Random(f"{self._seed} jobs")
        number = 0
        async with asyncio.TaskGroup() as adding:
            while self._raging:
                if len(self._jobs) - len(self._ended()) < BACKLOG:
                    number += 1
                    job = draw_job(rng, number)
                    self._jobs[job.id] = job
                    adding.create_task(self._add(job))
                await asyncio.sleep(0.1)

    async def _add(self, job: NewJob) -> None:
        """Until the client says that it is added; under its own id it is added once, however often it is tried."""
        while True:
            try:
                async with asyncio.timeout(ADD_SECONDS):
                    await self._parts.apps[job.queue].add(job.queue, job.data, **job.opts)
                break
            except TimeoutError:
                self._note(f"the client has not added {job.id} within {ADD_SECONDS:.0f} s; once more")
            except WebAppError as error:
                if "Node process has ended" in str(error):
                    raise
                await asyncio.sleep(0.2)
        self._history.added.append(Added(queue=job.queue, id=job.id, attempts=job.attempts))

    def _ended(self) -> set[str]:
        return {event.job_id for event in self._history.events if event.kind in ("completed", "failed")}

    async def _follow_events(self) -> None:
        """The streams are cut at 10,000 entries: what was read is kept."""
        while True:
            for queue in QUEUES:
                await self._patiently(partial(self._read_events, queue))
            await asyncio.sleep(0.3)

    async def _read_events(self, queue: str) -> None:
        stream = f"bull:{queue}:events"
        entries: Any = await self._parts.redis.xrange(stream, min=f"({self._seen_to[queue]}")
        for entry, fields in entries:
            self._seen_to[queue] = entry
            if "jobId" in fields:
                at = int(entry.partition("-")[0])
                self._history.events.append(Event(queue=queue, at=at, kind=fields["event"], job_id=fields["jobId"]))

    async def _wait_for_calm(self) -> list[str]:
        """Wait until every job has ended; the ids of those that have not."""
        deadline = time.monotonic() + CALM_SECONDS
        while time.monotonic() < deadline:
            if self._fsync != "always":
                await self._add_again_what_redis_lost()
            unfinished = await self._patiently(self._unfinished)
            if not unfinished:
                return []
            await asyncio.sleep(0.3)
        return unfinished

    async def _unfinished(self) -> list[str]:
        ended = set[str]()
        for queue in QUEUES:
            for state in ("completed", "failed"):
                ids: Any = await self._parts.redis.zrange(f"bull:{queue}:{state}", 0, -1)
                ended.update(ids)
        return sorted(self._jobs.keys() - ended)

    async def _add_again_what_redis_lost(self) -> None:
        for job in self._jobs.values():
            await self._parts.apps[job.queue].add(job.queue, job.data, **job.opts)

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask Redis until it answers."""
        while True:
            try:
                return await ask()
            except (RedisError, OSError):
                await asyncio.sleep(0.1)

    async def _gather(self) -> None:
        """The evidence that is read at the end."""
        history, parts = self._history, self._parts
        for queue in QUEUES:
            await self._read_events(queue)
        for job in self._jobs.values():
            seen = await parts.apps[job.queue].inspect(job.queue, job.id)
            if seen is not None:
                history.final[job.queue, job.id] = FinalState(
                    state=seen["state"],
                    attempts_made=seen["attemptsMade"],
                    attempts_started=seen["attemptsStarted"],
                )
        history.changes = await apihistory.read(parts.cluster, NAMESPACE)
        for line in parts.run_log.read_text().splitlines():
            told = json.loads(line)
            if told["event"] == "start":
                history.started.append(
                    Started(
                        at=told["at"],
                        run=told["run"],
                        queue=told["queue"],
                        job_id=told["job_id"],
                        claim=int(told["claim"]),
                    )
                )
        history.touched |= self._calamities.touched
        history.jobs_deleted |= self._calamities.jobs_deleted
        history.died += self._replicas.died + [f"the test node: {error!r}" for error in parts.node.errors]

    def _report(self) -> Report:
        history = self._history
        violations = (check if self._fsync == "always" else check_after_losses)(history)
        killed, states = self._replicas.killed, [final.state for final in history.final.values()]
        claims = [event for event in history.events if event.kind == "active"]
        summary = {
            "seed": self._seed,
            "appendfsync": self._fsync,
            "seconds": round(time.monotonic() - self._began),
            "kills": killed.total(),
            "killsOfLeaders": self._replicas.leaders_killed,
            "killsByPoint": dict(sorted(killed.items())),
            "calamities": dict(sorted(self._calamities.done.items())),
            "jobs": {
                "added": len(self._jobs),
                "completed": states.count("completed"),
                "failed": states.count("failed"),
            },
            "claims": len(claims),
            "runnersStarted": len(history.started),
            "revisionsOfJobsAndPods": len(history.changes),
            "mostStartsInAWindow": {
                queue: f"{most_starts(history.events, queue, limits.per_ms)} of {limits.max} in {limits.per_ms} ms"
                for queue, limits in QUEUES.items()
            },
            "mostLivePods": {
                queue: f"{most_live_pods(history, queue)} of {limits.concurrency}" for queue, limits in QUEUES.items()
            },
            "violations": [vars(violation) for violation in violations],
        }
        return Report(summary=summary, violations=violations)
