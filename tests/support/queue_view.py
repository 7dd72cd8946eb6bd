"""What people see of the queue under test while it is served: slots, reasons, Kubernetes Jobs. Nothing here blocks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from support.objects import QUEUE, Kubectl, paperqueue
from support.webapp import WebApp


async def eventually(look: Callable[[], Awaitable[Any]], what: str, seconds: float = 20.0) -> Any:
    """What `look` finds, as soon as it finds something; `what` says what, for the failure."""
    found: Any = None
    try:
        async with asyncio.timeout(seconds):
            while not (found := await look()):  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s: {what}") from None
    return found


@dataclass(frozen=True)
class QueueView:
    """PaperQueue `institutions` and the BullMQ queue that it serves."""

    kubectl: Kubectl
    app: WebApp

    async def call(self, *arguments: str, stdin: str | None = None) -> str:
        """kubectl, without stopping the web app meanwhile."""
        return await asyncio.to_thread(self.kubectl, *arguments, stdin=stdin)

    async def serve(self, **spec: Any) -> None:
        """Create the PaperQueue, or set it to this spec."""
        await self.call("apply", "-f", "-", stdin=paperqueue(**spec))

    async def edit(self, **spec: Any) -> None:
        """Change some of its settings, as `kubectl edit` does."""
        await self.call("patch", "pq", "institutions", "--type=merge", "-p", json.dumps({"spec": spec}))

    async def items(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind."""
        found: list[dict[str, Any]] = json.loads(await self.call("get", kind, "-o", "json"))["items"]
        return found

    async def status(self) -> dict[str, Any]:
        """The PaperQueue's status."""
        [queue] = await self.items("paperqueues")
        found: dict[str, Any] = queue.get("status") or {}
        return found

    async def says(self, seconds: float = 20.0, **wanted: Any) -> dict[str, Any]:
        """The status once it has these fields; None stands for one that is not there."""

        async def look() -> dict[str, Any] | None:
            seen = await self.status()
            return seen if all(seen.get(name) == value for name, value in wanted.items()) else None

        found: dict[str, Any] = await eventually(look, f"the PaperQueue says {wanted}", seconds)
        return found

    async def ready(self) -> tuple[str, str, str]:
        """Status, reason and message of its condition Ready."""
        conditions = (await self.status()).get("conditions", ())
        [ready] = [known for known in conditions if known["type"] == "Ready"]
        return ready["status"], ready["reason"], ready["message"]

    async def paperjob(self, job_id: str) -> dict[str, Any]:
        """The status of the PaperJob that shows a job."""
        shown = [body.get("status") or {} for body in await self.items("paperjobs")]
        return next((status for status in shown if status.get("jobId") == job_id), {})

    async def shows(self, job_id: str, seconds: float = 20.0, **wanted: Any) -> dict[str, Any]:
        """The status of a job's PaperJob once it has these fields."""

        async def look() -> dict[str, Any] | None:
            seen = await self.paperjob(job_id)
            return seen if seen and all(seen.get(name) == value for name, value in wanted.items()) else None

        found: dict[str, Any] = await eventually(look, f"PaperJob of {job_id} shows {wanted}", seconds)
        return found

    async def job(self, job_id: str) -> dict[str, Any]:
        """A job as the web app sees it."""
        found = await self.app.inspect(QUEUE, job_id)
        assert found is not None
        return found

    async def reaches(self, job_id: str, state: str, seconds: float = 30.0) -> dict[str, Any]:
        """The job as the web app sees it, once it is in a state."""

        async def look() -> bool:
            return bool((await self.job(job_id))["state"] == state)

        await eventually(look, f"job {job_id} is {state}", seconds)
        return await self.job(job_id)  # its fields are read before its state
