"""What a storm does beside the kills by the operators' own points: one calamity at a time, drawn from a seed."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from chaos.parts import NAMESPACE, Parts
from chaos.replicas import LEASE, Replicas
from support.controlplane import KubectlError
from support.testnode import Started

WEIGHTS: Final = {
    "kill the leader": 8,
    "kill every replica": 1,
    "nothing": 3,
    "restart the API server": 0.6,
    "kill the leader while the API server is down": 0.4,
    "restart Redis": 1.0,
    "kill the leader while Redis is down": 0.5,
    "freeze Redis": 0.5,
    "pause the leader": 1.0,
    "evict": 0.8,
    "out of memory": 0.8,
    "lose the node": 0.6,
    "delete a pod": 0.6,
    "delete a Job": 0.5,
    "slow starts": 0.5,
}
"""How often each comes. "nothing" leaves time for the points."""

LEADER_SECONDS: Final = 15.0
"""Longest wait for somebody to lead."""


class Calamities:
    """Does harm."""

    def __init__(self, parts: Parts, replicas: Replicas, seed: int) -> None:
        self.done: Final[Counter[str]] = Counter()
        self.touched: Final[set[str]] = set()
        """Runs whose Job or Pod was deleted by us."""
        self.jobs_deleted: Final[set[str]] = set()
        """Those whose Job it was."""
        self._parts = parts
        self._replicas = replicas
        # Apart from the moments, of which one more or less is drawn as things go: the order is the seed's alone.
        self._order = random.Random(f"{seed} calamities")
        self._rng = random.Random(f"{seed} moments")
        self._collecting: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._by_name: Final[dict[str, Callable[[], Awaitable[bool]]]] = {
            "kill the leader": self._kill_the_leader,
            "kill every replica": self._kill_every_replica,
            "nothing": self._nothing,
            "restart the API server": self._restart_api_server,
            "kill the leader while the API server is down": self._kill_without_api_server,
            "restart Redis": self._restart_redis,
            "kill the leader while Redis is down": self._kill_without_redis,
            "freeze Redis": self._freeze_redis,
            "pause the leader": self._pause_the_leader,
            "evict": lambda: self._to_a_container(self._parts.node.evict),
            "out of memory": lambda: self._to_a_container(self._parts.node.oom_kill),
            "lose the node": lambda: self._to_a_container(self._lose),
            "delete a pod": lambda: self._to_a_container(self._delete_pod),
            "delete a Job": lambda: self._to_a_container(self._delete_job),
            "slow starts": self._slow_starts,
        }

    async def next(self) -> str:
        """Do the next one; its name."""
        name = self._order.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0]
        self._parts.node.start_delay = 0.0
        if await self._by_name[name]():
            self.done[name] += 1
        return name

    async def heal(self) -> None:
        """Take back what would last."""
        self._parts.node.heal()
        await asyncio.gather(*self._collecting)

    def _moment(self, longest: float) -> float:
        return self._rng.uniform(0.0, longest)

    async def _nothing(self) -> bool:
        await asyncio.sleep(self._moment(1.5))
        return True

    async def _kill_the_leader(self) -> bool:
        leader = await self._replicas.leader(LEADER_SECONDS)
        await asyncio.sleep(self._moment(1.2))
        if leader is None or leader.process.poll() is not None:
            return False  # its point was faster
        self._replicas.kill(leader)
        return True

    async def _kill_every_replica(self) -> bool:
        await asyncio.sleep(self._moment(0.5))
        self._replicas.kill_all()
        return True

    async def _restart_api_server(self) -> bool:
        await asyncio.to_thread(self._parts.cluster.stop_api_server)
        await asyncio.sleep(self._moment(2.0))
        await asyncio.to_thread(self._parts.cluster.start_api_server)
        return True

    async def _kill_without_api_server(self) -> bool:
        leader = await self._replicas.leader(LEADER_SECONDS)
        await asyncio.to_thread(self._parts.cluster.stop_api_server)
        await asyncio.sleep(self._moment(1.0))
        if leader is not None:
            self._replicas.kill(leader)
        await asyncio.to_thread(self._parts.cluster.start_api_server)
        return True

    async def _restart_redis(self) -> bool:
        await asyncio.to_thread(self._parts.valkey.kill)
        await asyncio.sleep(self._moment(1.0))
        await asyncio.to_thread(self._parts.valkey.start)
        return True

    async def _kill_without_redis(self) -> bool:
        leader = await self._replicas.leader(LEADER_SECONDS)
        await asyncio.to_thread(self._parts.valkey.kill)
        await asyncio.sleep(self._moment(0.5))
        if leader is not None:
            self._replicas.kill(leader)
        await asyncio.to_thread(self._parts.valkey.start)
        return True

    async def _freeze_redis(self) -> bool:
        self._parts.valkey.freeze()
        await asyncio.sleep(self._moment(1.5))
        self._parts.valkey.thaw()
        return True

    async def _pause_the_leader(self) -> bool:
        """Beyond its lease: another takes over, and for a moment there are two who think that they lead."""
        leader = await self._replicas.leader(LEADER_SECONDS)
        await asyncio.sleep(self._moment(0.5))
        if leader is None or leader.process.poll() is not None:
            return False
        leader.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(float(LEASE) * self._rng.uniform(0.5, 3.0))
        leader.process.send_signal(signal.SIGCONT)
        return True

    async def _slow_starts(self) -> bool:
        self._parts.node.start_delay = self._moment(3.0)
        await asyncio.sleep(1.0)
        return True

    async def _to_a_container(self, harm: Callable[[Started], None]) -> bool:
        for _ in range(60):
            if running := self._parts.node.running(NAMESPACE):
                break
            await asyncio.sleep(0.05)
        else:
            return False
        try:
            await asyncio.to_thread(harm, self._rng.choice(running))
        except LookupError:  # it ended just now
            return False
        return True

    def _lose(self, container: Started) -> None:
        self._parts.node.lose(container)
        self._loop.call_soon_threadsafe(self._collect_later, container)

    def _collect_later(self, container: Started) -> None:
        async def collect() -> None:
            await asyncio.sleep(self._moment(2.0))
            with suppress(LookupError):
                await asyncio.to_thread(self._parts.node.collect_lost, container)

        self._collecting.add(asyncio.get_running_loop().create_task(collect()))

    def _delete_pod(self, container: Started) -> None:
        self._delete("pod", container.pod, container)

    def _delete_job(self, container: Started) -> None:
        self.jobs_deleted.add(container.job or "")
        self._delete("job", container.job or "", container)

    def _delete(self, kind: str, name: str, container: Started) -> None:
        self.touched.add(container.job or "")
        with suppress(KubectlError):
            self._parts.cluster.kubectl("-n", NAMESPACE, "delete", kind, name, "--wait=false")
