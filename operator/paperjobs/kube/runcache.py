"""Every run of the namespace in memory: Jobs and Pods as two watches bring them, and what was just launched.

Jobs and Pods arrive independently; whenever one changes, the run of that name is read anew. Only what a run is read
from is kept of an object: 3 KB instead of 18.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from paperjobs.errors import ClusterUnavailable
from paperjobs.kube import names
from paperjobs.kube.answers import Json
from paperjobs.kube.api import EVENTS, JOBS, PODS, Api
from paperjobs.kube.obstacle import obstacle
from paperjobs.kube.runs import read_run, telling
from paperjobs.kube.watch import Watch
from paperjobs.model import Run

UNSEEN_SECONDS: Final = 30.0
"""How long a launched run counts without having been seen: a watch is milliseconds behind. Later it was deleted."""

POD_REFUSALS: Final = "involvedObject.kind=Job,reason=FailedCreate"
"""Finds the events by which the Job controller says that it may not create a pod: nothing else says it."""

METADATA: Final = ("name", "labels", "annotations", "creationTimestamp", "deletionTimestamp")
JOB_SPEC: Final = ("activeDeadlineSeconds", "suspend")
POD_STATUS: Final = ("phase", "reason", "message", "conditions", "containerStatuses")


class RunCache:
    """Runs by queue (`QueueSettings.key`). `changed` gets the key of a queue, some of whose runs are not as they were;
    `regained` is called when the watches can be trusted again."""

    def __init__(
        self, api: Api, *, changed: Callable[[str], None], regained: Callable[[], None], resync_seconds: float
    ) -> None:
        self._changed = changed
        self._regained = asyncio.Event()

        def synced_again() -> None:
            if self.synced:
                self._regained.set()
                regained()

        self._jobs = Watch(
            api,
            JOBS,
            selector=names.SELECTOR,
            keep=_keep_job,
            changed=self._read,
            regained=synced_again,
            resync_seconds=resync_seconds,
        )
        self._pods = Watch(
            api,
            PODS,
            selector=names.SELECTOR,
            keep=_keep_pod,
            changed=self._pod_changed,
            regained=synced_again,
            resync_seconds=resync_seconds,
        )
        # Runs can be told and acted on without it: it only adds why a pod is missing.
        self._refusals = Watch(
            api,
            EVENTS,
            fields=POD_REFUSALS,
            keep=_keep_event,
            changed=self._refusal_changed,
            regained=lambda: None,
            resync_seconds=resync_seconds,
        )
        self._server_time = api.now
        self._runs: dict[str, dict[str, Run]] = defaultdict(dict)
        self._queue_of: dict[str, str] = {}
        self._run_of_pod: dict[str, str] = {}
        self._pods_of_run: dict[str, set[str]] = defaultdict(set)
        self._launched: dict[str, tuple[str, Run, float]] = {}
        self._faulty_since: dict[str, int] = {}

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._jobs.run(), name="watch jobs")
            tasks.create_task(self._pods.run(), name="watch pods")
            tasks.create_task(self._refusals.run(), name="watch events")

    @property
    def synced(self) -> bool:
        """Whether what is in memory can be acted on."""
        return self._jobs.synced and self._pods.synced

    async def wait_until_synced(self) -> None:
        """Return when everything was listed for the first time."""
        await self._regained.wait()

    def runs(self, queue: str) -> list[Run]:
        """Every run of a queue; raises ClusterUnavailable while a watch is not in sync."""
        if not self.synced:
            raise ClusterUnavailable("Jobs and Pods cannot be watched right now")
        return [*self._runs.get(queue, {}).values(), *self._unseen(queue)]

    def launched(self, queue: str, run: Run) -> None:
        """Count a run that the API server has just accepted until the watch shows it."""
        if run.name not in self._queue_of:
            self._launched[run.name] = (queue, run, _now() + UNSEEN_SECONDS)

    def _unseen(self, queue: str) -> list[Run]:
        for name in [name for name, (_, _, until) in self._launched.items() if until <= _now()]:
            del self._launched[name]
        return [run for of, run, _ in self._launched.values() if of == queue]

    def _pod_changed(self, name: str) -> None:
        pod = self._pods.objects.get(name)
        if pod is None:
            run = self._run_of_pod.pop(name, "")
            self._pods_of_run[run].discard(name)
            if not self._pods_of_run[run]:
                del self._pods_of_run[run]
        else:
            run = pod["metadata"]["labels"].get(names.JOB_NAME_LABEL, "")
            self._run_of_pod[name] = run
            self._pods_of_run[run].add(name)
        if run:
            self._read(run)

    def _read(self, name: str) -> None:
        job = self._jobs.objects.get(name)
        pods = [self._pods.objects[pod] for pod in self._pods_of_run.get(name, ())]
        if job is None and name in self._launched and name not in self._queue_of:
            return  # Its pod came before it through the other watch.
        self._launched.pop(name, None)
        refusal = "" if pods else self._refusal_of(name)
        run = read_run(job, pods, faulty_since=self._fault(name, pods), pod_refusal=refusal)
        if run is None:
            self._forget(name)
            return
        queue = (job or pods[0])["metadata"]["labels"].get(names.QUEUE_KEY_LABEL, "")
        self._queue_of[name] = queue
        if self._runs[queue].get(name) != run:
            self._runs[queue][name] = run
            self._changed(queue)

    def _fault(self, name: str, pods: list[Json]) -> int | None:
        """Since when a fault is seen that keeps a pod from starting; a pod does not say it. After a restart of the
        operator it is counted anew."""
        pod = telling(pods)
        found = obstacle(pod) if pod is not None else None
        if found is None or not found.fault:
            self._faulty_since.pop(name, None)
            return None
        return self._faulty_since.setdefault(name, self._server_time())

    def _refusal_changed(self, event: str) -> None:
        known = self._refusals.objects.get(event)
        if known is not None and known["job"] in self._queue_of:
            self._read(known["job"])

    def _refusal_of(self, name: str) -> str:
        return next((event["message"] for event in self._refusals.objects.values() if event["job"] == name), "")

    def _forget(self, name: str) -> None:
        self._faulty_since.pop(name, None)
        queue = self._queue_of.pop(name, None)
        if queue is not None and self._runs[queue].pop(name, None) is not None:
            self._changed(queue)


def _keep_job(job: Json) -> Json:
    return {
        "metadata": _some(job["metadata"], METADATA),
        "spec": _some(job["spec"], JOB_SPEC),
        "status": job.get("status") or {},
    }


def _keep_pod(pod: Json) -> Json:
    return {"metadata": _some(pod["metadata"], METADATA), "status": _some(pod.get("status") or {}, POD_STATUS)}


def _keep_event(event: Json) -> Json:
    return {"job": event["involvedObject"].get("name", ""), "message": str(event.get("message") or "")}


def _some(fields: Json, wanted: tuple[str, ...]) -> Json:
    return {name: fields[name] for name in wanted if name in fields}


def _now() -> float:
    return asyncio.get_running_loop().time()
