"""The runs of a namespace as anybody sees them: when a Job came, when its pod ran and ended, by raw watches."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from support.kubeapi import KubeApi

JOB_NAME_LABEL: Final = "batch.kubernetes.io/job-name"
RUNNING, ENDED = "Running", "Succeeded"
"""Phases of a pod."""


@dataclass
class SeenRun:
    """One Job and its pod; times are time.monotonic() of the events' arrival."""

    created_at: float | None = None
    phase_at: dict[str, float] = field(default_factory=dict)


class RunWatch:
    """Made by `run_watch`."""

    def __init__(self) -> None:
        self.runs: Final[dict[str, SeenRun]] = defaultdict(SeenRun)
        """By the Job's name; those that were there before are left out."""
        self._expected: dict[tuple[str, str], asyncio.Future[None]] = {}

    async def reaches(self, run: str, phase: str, *, seconds: float = 60.0) -> None:
        """Return when the run's pod is in that phase; TimeoutError when it never is."""
        if phase in self.runs[run].phase_at:
            return
        future = self._expected.setdefault((run, phase), asyncio.get_running_loop().create_future())
        async with asyncio.timeout(seconds):
            await future

    def saw_job(self, event: str, job: dict[str, Any]) -> None:
        """Take an event of a Job."""
        if event == "ADDED":
            self.runs[job["metadata"]["name"]].created_at = time.monotonic()

    def saw_pod(self, event: str, pod: dict[str, Any]) -> None:
        """Take an event of a pod."""
        run, phase = pod["metadata"]["labels"].get(JOB_NAME_LABEL, ""), pod["status"]["phase"]
        if event != "DELETED" and phase not in self.runs[run].phase_at:
            self.runs[run].phase_at[phase] = time.monotonic()
            if expected := self._expected.pop((run, phase), None):
                expected.set_result(None)


@asynccontextmanager
async def run_watch(api: KubeApi, namespace: str) -> AsyncIterator[RunWatch]:
    """Watches that are open when the context begins."""
    seen = RunWatch()
    listed = [asyncio.Event(), asyncio.Event()]

    async def follow(path: str, saw: Any, began: asyncio.Event) -> None:
        async for event, body in api.watch(path):
            if event == "LISTED":
                began.set()
            else:
                saw(event, body)

    paths = (
        (f"/apis/batch/v1/namespaces/{namespace}/jobs", seen.saw_job),
        (f"/api/v1/namespaces/{namespace}/pods", seen.saw_pod),
    )
    tasks = [asyncio.create_task(follow(path, saw, began)) for (path, saw), began in zip(paths, listed, strict=True)]
    try:
        async with asyncio.timeout(20):
            await asyncio.gather(*(one.wait() for one in listed))
        await asyncio.sleep(0.5)  # from the list to the open watch
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
