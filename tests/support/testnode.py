"""A node for the tests: it stands in for the scheduler and the kubelet, and runs pods' commands on this machine.

It works in a thread of its own, so tests may block. It survives restarts of the API server. What differs from a real
node: no isolation, no volumes, no probes, one container per pod, and `podprocess.py` says what about SIGTERM.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from support import noderegistration, podstatus
from support.kubeapi import KubeApi, kube_api
from support.kubeconfig import read_kubeconfig
from support.podrun import Fault, Machine, PodRun, Started

__all__ = ["BARE_IMAGE", "RUNNER_IMAGE", "Fault", "Started", "TestNode", "running_test_node"]

START_SECONDS: Final = 30.0

RUNNER_IMAGE: Final = "paperjobs-runner:test"
"""On the test node this image stands for the runner of the working tree."""

BARE_IMAGE: Final = "machine:test"
"""On the test node this image has no entrypoint and all programs of the machine."""


@dataclass
class _Injected:
    fault: Fault
    namespace: str | None
    pods: float
    hit: set[str] = field(default_factory=set)

    def applies(self, pod: Mapping[str, Any], fault: Fault) -> bool:
        metadata = pod["metadata"]
        if fault is not self.fault or self.namespace not in {None, metadata["namespace"]}:
            return False
        if len(self.hit) < self.pods:
            self.hit.add(metadata["uid"])
        return metadata["uid"] in self.hit


class TestNode:
    """A running node; made by `running_test_node`. Every method may be called from any thread but the node's own."""

    __test__ = False  # not a test, whatever its name says

    def __init__(self, kubeconfig: Path, images: Mapping[str, Sequence[str]], folder: Path, name: str) -> None:
        self.name: Final = name
        self.start_delay = 0.0
        """Seconds until a bound pod starts, as if its image had to be pulled."""
        self.started: Final[list[Started]] = []
        """Every container that was started, in order."""
        self.errors: Final[list[BaseException]] = []
        """What went wrong inside the node itself; a test that finds something here cannot be believed."""
        self._access = read_kubeconfig(kubeconfig)
        self._images = images
        self._folder = folder
        self._faults: list[_Injected] = []
        self._runs: dict[str, PodRun] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._main: asyncio.Task[None] | None = None
        self._api: KubeApi | None = None

    def inject(self, fault: Fault, *, namespace: str | None = None, pods: float = math.inf) -> None:
        """Let the next so many pods (of one namespace, or of all) suffer the fault, until `heal`."""
        self._faults.append(_Injected(fault, namespace, pods))

    def heal(self) -> None:
        """Take back every injected fault and delay; pods that waited because of them go on."""
        self._faults.clear()
        self.start_delay = 0.0

    def started_in(self, namespace: str) -> list[Started]:
        """The containers that were started in a namespace, ended ones included, in order."""
        return [one for one in list(self.started) if one.namespace == namespace]

    def running(self, namespace: str) -> list[Started]:
        """The containers of a namespace that run now."""
        return [one for one in self.started_in(namespace) if one.exit_code is None]

    def wait_until_running(self, namespace: str, count: int = 1, *, seconds: float = 20.0) -> list[Started]:
        """Return when at least so many containers of a namespace run at once; raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while len(found := self.running(namespace)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} containers run in {namespace} after {seconds} s, expected {count}")
            time.sleep(0.01)
        return found

    def oom_kill(self, container: Started) -> None:
        """Kill a running container as the kernel does when it takes more memory than its limit."""
        self._do(self._end(container, podstatus.oom_killed()))

    def evict(self, container: Started) -> None:
        """End a running pod because the node itself is short of memory."""
        self._do(self._end(container, podstatus.evicted()))

    def shut_down(self, container: Started) -> None:
        """End a running pod because its machine is about to go, as a spot instance does."""
        self._do(self._end(container, podstatus.node_shut_down()))

    def preempt(self, container: Started) -> None:
        """Ask a running pod to leave, as the scheduler does when a more important one needs its room."""
        self._do(self._preempt(container))

    def lose(self, container: Started) -> None:
        """Let a pod's node die: the process is gone, nothing is reported, and the control plane deletes the pod.

        The pod stays, as Running and with a deletion timestamp, because no kubelet confirms; see `collect_lost`.
        """
        self._do(self._lose(container))

    def collect_lost(self, container: Started) -> None:
        """Delete a lost pod for good, as the pod garbage collector does about a minute after the node was removed."""
        self._do(self._collect(container))

    def start(self) -> None:
        """Register the node and begin to serve pods; returns when it does."""
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            self.stop()
            raise TimeoutError(f"the test node did not reach the API server at {self._access.url}: {self.errors}")

    def stop(self) -> None:
        """Kill every pod's process and stop reporting."""
        self._loop.call_soon_threadsafe(lambda: self._main.cancel() if self._main else None)
        self._thread.join()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._main = self._loop.create_task(self._serve())
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self.errors.append(error)
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        async with kube_api(self._access) as api:
            self._api = api
            machine = Machine(
                name=self.name,
                api=api,
                folder=self._folder,
                images=self._images,
                has_fault=self._has_fault,
                start_delay=lambda: self.start_delay,
                on_start=self.started.append,
            )
            try:
                async with asyncio.TaskGroup() as group:
                    await noderegistration.register(api, self.name)
                    group.create_task(noderegistration.keep_lease(api, self.name))
                    group.create_task(self._follow_pods(machine))
            finally:
                for task in self._tasks.values():
                    task.cancel()
                await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _follow_pods(self, machine: Machine) -> None:
        async for event, seen in machine.api.watch("/api/v1/pods"):
            if event == "LISTED":
                listed = {pod["metadata"]["uid"]: pod for pod in seen["items"]}
                for uid in set(self._runs) - set(listed):
                    self._forget(uid)
                for pod in listed.values():
                    self._notice(machine, pod)
                self._ready.set()
            elif event == "DELETED":
                self._forget(seen["metadata"]["uid"])
            else:
                self._notice(machine, seen)

    def _notice(self, machine: Machine, pod: Mapping[str, Any]) -> None:
        uid = pod["metadata"]["uid"]
        if run := self._runs.get(uid):
            run.update(pod)
        elif pod["spec"].get("nodeName") in {None, self.name} and pod["status"]["phase"] == "Pending":
            run = self._runs[uid] = PodRun(machine, pod)
            run.update(pod)
            self._tasks[uid] = self._loop.create_task(self._guard(run))

    def _forget(self, uid: str) -> None:
        self._runs.pop(uid, None)
        if task := self._tasks.get(uid):
            task.cancel()

    async def _guard(self, run: PodRun) -> None:
        try:
            await run.serve()
        except Exception as error:
            self.errors.append(error)
        finally:
            self._tasks.pop(run.pod["metadata"]["uid"], None)

    def _has_fault(self, pod: Mapping[str, Any], fault: Fault) -> bool:
        return any(injected.applies(pod, fault) for injected in list(self._faults))

    async def _end(self, container: Started, ending: podstatus.Ending) -> None:
        self._run_of(container).end(ending)

    async def _preempt(self, container: Started) -> None:
        await self._patch_status(container, podstatus.preempted())
        await self._delete(container, {})

    async def _lose(self, container: Started) -> None:
        self._run_of(container).lose()
        message = "Taint manager: deleting due to NoExecute taint"
        disrupted = {"conditions": [podstatus.disruption("DeletionByTaintManager", message)]}
        await self._patch_status(container, disrupted)
        await self._delete(container, {})

    async def _collect(self, container: Started) -> None:
        await self._patch_status(container, {"phase": "Failed"})
        await self._delete(container, {"gracePeriodSeconds": 0})

    async def _patch_status(self, container: Started, status: Mapping[str, Any]) -> None:
        assert self._api is not None
        await self._api.request("PATCH", f"{_path(container)}/status", {"status": status})

    async def _delete(self, container: Started, options: Mapping[str, Any]) -> None:
        assert self._api is not None
        await self._api.request("DELETE", _path(container), options)

    def _run_of(self, container: Started) -> PodRun:
        for run in self._runs.values():
            if run.started is container:
                return run
        raise LookupError(f"pod {container.pod} is not on the test node any more")


def _path(container: Started) -> str:
    return f"/api/v1/namespaces/{container.namespace}/pods/{container.pod}"


@contextmanager
def running_test_node(
    kubeconfig: Path, images: Mapping[str, Sequence[str]], folder: Path, *, name: str = "test-node"
) -> Iterator[TestNode]:
    """A node that knows these images (each stands for an entrypoint, which may be empty); stopped afterwards."""
    node = TestNode(kubeconfig, images, folder, name)
    node.start()
    try:
        yield node
    finally:
        node.stop()
