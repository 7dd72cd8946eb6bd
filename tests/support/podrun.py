"""The life of one pod on the test node: bound, started, watched, reported, deleted."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final

from support import podstatus
from support.kubeapi import ApiError, KubeApi
from support.podprocess import PodProcess
from support.podspec import ConfigError, Sources, command_line, environment, referenced
from support.podstatus import Ending

RETRY_SECONDS: Final = 0.3
"""Between two attempts to pull an image or to find a Secret (a kubelet takes ten and more)."""


class Fault(Enum):
    """What can go wrong with a pod before, or as soon as, it runs."""

    UNSCHEDULABLE = "no node has room"
    IMAGE_PULL = "the registry is down"
    OOM_KILLED = "the container takes more memory than its limit, as soon as it runs"


@dataclass
class Started:
    """A container that was started, for tests to count and to look into."""

    namespace: str
    pod: str
    job: str | None
    """The Kubernetes Job that the pod belongs to."""
    variables: Mapping[str, str]
    """Those that the pod's spec gives."""
    command: Sequence[str]
    at: float
    """time.monotonic() of the start."""
    log: Path
    exit_code: int | None = None
    """None while it runs."""


@dataclass(frozen=True)
class Machine:
    """What a pod needs to know of its node."""

    name: str
    api: KubeApi
    folder: Path
    images: Mapping[str, Sequence[str]]
    """The entrypoint that each image stands for; an image that is not here cannot be pulled."""
    has_fault: Callable[[Mapping[str, Any], Fault], bool]
    start_delay: Callable[[], float]
    """Seconds that pulling an image takes now."""
    on_start: Callable[[Started], None]


@dataclass
class PodRun:
    """One pod; `serve` is its life, everything else reacts to what happens to it meanwhile."""

    machine: Machine
    pod: Mapping[str, Any]
    started: Started | None = None
    _process: PodProcess | None = None
    _forced: Ending | None = None
    _deleted: asyncio.Event = field(default_factory=asyncio.Event)
    _lost: bool = False
    _arrived_at: float = 0.0

    def update(self, pod: Mapping[str, Any]) -> None:
        """Take a newer version of the pod."""
        self.pod = pod
        if "deletionTimestamp" in pod["metadata"]:
            self._deleted.set()

    def end(self, ending: Ending) -> None:
        """Kill the process, and report this ending instead of its own."""
        self._forced = ending
        self._kill()

    def lose(self) -> None:
        """Kill the process and report nothing any more, as if the node's power had failed."""
        self._lost = True
        self._kill()

    async def serve(self) -> None:
        """Run the pod to its end and, when it was asked to go, until it is gone."""
        try:
            if await self._bind():
                await self._run()
                await self._confirm_deletion()
        except ApiError as error:
            if error.status not in {404, 409}:  # somebody deleted it without waiting for us
                raise
        finally:
            self._kill()
            if self._process is not None:
                await self._process.wait()
            if self.started is not None and self.started.exit_code is None:
                self.started.exit_code = 137

    async def _bind(self) -> bool:
        """Do the scheduler's part; False when another node has the pod."""
        while not self.pod["spec"].get("nodeName"):
            if self.machine.has_fault(self.pod, Fault.UNSCHEDULABLE):
                await self._report(podstatus.unschedulable())
                await asyncio.sleep(RETRY_SECONDS)
                continue
            binding = {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": self.pod["metadata"]["name"]},
                "target": {"kind": "Node", "name": self.machine.name},
            }
            with suppress(ApiError):  # it is gone, or has a node by now: the next read tells
                await self.machine.api.request("POST", f"{self._path}/binding", binding)
                return True
            self.update(await self.machine.api.request("GET", self._path))
        return bool(self.pod["spec"]["nodeName"] == self.machine.name)

    async def _run(self) -> None:
        self._arrived_at = time.monotonic()
        prepared = await self._prepare()
        if prepared is None:
            await self._report(podstatus.never_started())
            return
        command, variables = prepared
        metadata, container = self.pod["metadata"], self.pod["spec"]["containers"][0]
        folder = self.machine.folder / metadata["namespace"] / metadata["name"]
        job = next((owner["name"] for owner in metadata.get("ownerReferences", []) if owner["kind"] == "Job"), None)
        self.started = Started(
            namespace=metadata["namespace"],
            pod=metadata["name"],
            job=job,
            variables=variables,
            command=command,
            at=time.monotonic(),
            log=folder / "log",
        )
        started_at = podstatus.now()
        process = await PodProcess.start(
            command, variables, folder, host_name=metadata["name"], cwd=container.get("workingDir")
        )
        self.machine.on_start(self.started)
        if isinstance(process, Ending):
            ending = process
        else:
            self._process = process
            # Beside the report, which waits while the API server is away: the container's life does not.
            watching = asyncio.create_task(self._watch_over(process))
            try:
                await self._report(podstatus.running(self.pod, started_at))
                if self.machine.has_fault(self.pod, Fault.OOM_KILLED):
                    self.end(podstatus.oom_killed())
                ending = await watching
            finally:
                watching.cancel()
        self.started.exit_code = ending.exit_code
        await self._report(podstatus.ended(self.pod, started_at, ending))

    async def _prepare(self) -> tuple[Sequence[str], Mapping[str, str]] | None:
        """The command and its variables; None when the pod was deleted before they could be had."""
        container = self.pod["spec"]["containers"][0]
        image = container["image"]
        reported = ""
        await self._sleep_unless_deleted(self.machine.start_delay())
        while not self._deleted.is_set():
            if self._time_left() == 0:
                await self._report(podstatus.deadline_before_start())
                await self._deleted.wait()
                return None
            if image not in self.machine.images or self.machine.has_fault(self.pod, Fault.IMAGE_PULL):
                reason, message = "ImagePullBackOff", f'Back-off pulling image "{image}"'
            else:
                try:
                    self._check_supported()
                    variables = environment(self.pod, container, await self._sources(container))
                    return command_line(container, self.machine.images[image], variables), variables
                except ConfigError as error:
                    reason, message = "CreateContainerConfigError", str(error)
            if reported != reason:
                await self._report(podstatus.waiting(self.pod, reason, message))
                reported = reason
            await self._sleep_unless_deleted(RETRY_SECONDS)
        return None

    async def _watch_over(self, process: PodProcess) -> Ending:
        exited, deleted = asyncio.create_task(process.wait()), asyncio.create_task(self._deleted.wait())
        try:
            limit = self._time_left()
            done, _ = await asyncio.wait({exited, deleted}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                self.end(podstatus.deadline_exceeded())
            elif exited not in done:
                await process.ask_to_leave(self.pod["metadata"].get("deletionGracePeriodSeconds", 30))
            await exited
        finally:
            exited.cancel()
            deleted.cancel()
        ending = self._forced or process.ending(self.pod["spec"]["containers"][0]["terminationMessagePolicy"])
        if self.started is not None:
            self.started.exit_code = ending.exit_code
        return ending

    def _time_left(self) -> float | None:
        """Of the pod's own activeDeadlineSeconds, which a kubelet counts from the pod's arrival."""
        limit = self.pod["spec"].get("activeDeadlineSeconds")
        return None if limit is None else max(0.0, self._arrived_at + limit - time.monotonic())

    async def _confirm_deletion(self) -> None:
        if not self._lost:
            await self._deleted.wait()
            options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.pod["metadata"]["uid"]}}
            await self.machine.api.request("DELETE", self._path, options)

    def _check_supported(self) -> None:
        spec = self.pod["spec"]
        if len(spec["containers"]) != 1 or spec.get("initContainers") or spec["restartPolicy"] != "Never":
            raise ConfigError("the test node runs pods of one container with restartPolicy Never only")

    async def _sources(self, container: Mapping[str, Any]) -> Sources:
        secrets, config_maps = referenced(container)
        return Sources(
            secrets={
                name: {key: base64.b64decode(value).decode() for key, value in data.items()}
                for name in secrets
                if (data := await self._data_of("secrets", name)) is not None
            },
            config_maps={
                name: data for name in config_maps if (data := await self._data_of("configmaps", name)) is not None
            },
        )

    async def _data_of(self, kind: str, name: str) -> Mapping[str, str] | None:
        path = f"/api/v1/namespaces/{self.pod['metadata']['namespace']}/{kind}/{name}"
        try:
            found = await self.machine.api.request("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        data: Mapping[str, str] = found.get("data") or {}
        return data

    async def _report(self, status: Mapping[str, Any]) -> None:
        if not self._lost:
            await self.machine.api.request("PATCH", f"{self._path}/status", {"status": status})

    async def _sleep_unless_deleted(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._deleted.wait(), seconds)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    @property
    def _path(self) -> str:
        metadata = self.pod["metadata"]
        return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
