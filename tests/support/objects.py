"""What people and the web app write: a PaperQueue, PaperJobs for it, and jobs in Redis."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final, Protocol

from bullmq import Queue

from paperjobs.bullmq.connection import open_client
from paperjobs.settings import RedisSettings
from support.operator_process import until

QUEUE: Final = "institution-extraction"
"""BullMQ's name of the queue that these objects are about."""


class Kubectl(Protocol):
    """Calls kubectl in a namespace and returns what it printed; raises KubectlError."""

    def __call__(self, *arguments: str, stdin: str | None = None) -> str: ...


def paperqueue(name: str = "institutions", **spec: Any) -> str:
    """A PaperQueue that serves `QUEUE`, as JSON."""
    body = {
        "apiVersion": "paperjobs.dev/v1alpha1",
        "kind": "PaperQueue",
        "metadata": {"name": name},
        "spec": {"queue": QUEUE, "pipeline": "institution-extraction", "concurrency": 2, **spec},
    }
    return json.dumps(body)


def paperjob(name: str, **spec: Any) -> str:
    """A PaperJob as a person makes it for PaperQueue institutions, as JSON."""
    body = {
        "apiVersion": "paperjobs.dev/v1alpha1",
        "kind": "PaperJob",
        "metadata": {"name": name},
        "spec": {"queue": "institutions", "paperId": "9", "arxivUrl": "https://arxiv.org/abs/1706.03762", **spec},
    }
    return json.dumps(body)


async def add(valkey_port: int, *payloads: dict[str, Any], **options: Any) -> list[str]:
    """Add jobs to `QUEUE` with these BullMQ options (one attempt unless they say more); their ids."""
    settings = RedisSettings(host="127.0.0.1", port=valkey_port)
    async with open_client(settings) as client:
        queue = Queue(QUEUE, {"connection": client})
        return [str((await queue.add("extract", payload, {"attempts": 1, **options})).id) for payload in payloads]


def phases(kubectl: Kubectl) -> list[str]:
    """The phases of all PaperJobs."""
    listed = json.loads(kubectl("get", "paperjobs", "-o", "json"))["items"]
    return [item.get("status", {}).get("phase", "") for item in listed]


def clear_up(kubectl: Kubectl, name: str = "institutions") -> None:
    """Return when no PaperJob and no Job is left under a history limit of zero; TimeoutError after a minute.

    An idle queue looks at its history only now and then: edits make it look again and again. The garbage collector of a
    cluster that has only just learned of PaperJobs takes half a minute to delete what they own."""
    for minutes in range(20, 50):
        edit = json.dumps({"spec": {"timeout": f"{minutes}m"}})
        kubectl("patch", "paperqueue", name, "--type", "merge", "-p", edit)
        with suppress(TimeoutError):
            until(lambda: json.loads(kubectl("get", "paperjobs,jobs", "-o", "json"))["items"] == [], 2)
            return
    raise TimeoutError(f"left: {kubectl('get', 'paperjobs,jobs')}")
