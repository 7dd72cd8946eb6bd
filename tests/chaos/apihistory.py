"""The API server's own memory: every revision of every Job and Pod of a namespace, read from its etcd.

A watch through the API server would lose what happens while the server is down. etcd keeps every revision until it is
compacted (which `KEEPS_HISTORY` turns off), in one total order, and as JSON when it is stored so.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import aiohttp

from chaos.history import Change
from support.controlplane import ControlPlane

KEEPS_HISTORY: Final = {"etcd-compaction-interval": "0", "storage-media-type": "application/json"}
"""Flags of the API server."""

SENTINEL: Final = "chaos-ends-here"
"""Name of a Job and a Pod whose revisions end the reading: a watch never says that nothing more is to come."""

ANNOTATION: Final = "paperjobs.dev/"
FINAL_PHASES: Final = ("Succeeded", "Failed")
VERDICTS: Final = {0: "done", 65: "never", 69: "limited", 75: "failed"}
"""The runner's contract, as README has it."""


async def read(cluster: ControlPlane, namespace: str) -> list[Change]:
    """Every revision of the Jobs and Pods that the operator made, in order."""
    _put_sentinels(cluster, namespace)
    found: list[Change] = []
    async with aiohttp.ClientSession() as session:
        for kind, plural in (("Job", "jobs"), ("Pod", "pods")):
            known: dict[str, Change] = {}
            async for revision, name, body in _revisions(session, cluster.etcd, f"/registry/{plural}/{namespace}/"):
                change = _gone(known[name], revision) if body is None else _change(kind, revision, body)
                if change is not None:
                    known[name] = change
                    found.append(change)
    return sorted(found, key=lambda change: change.revision)


def _put_sentinels(cluster: ControlPlane, namespace: str) -> None:
    pod = {"restartPolicy": "Never", "nodeName": "nowhere", "containers": [{"name": "none", "image": "none"}]}
    metadata = {"name": SENTINEL, "namespace": namespace}
    template = {"spec": {**pod}}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod},
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata,
            "spec": {"suspend": True, "template": template},
        },
    )


async def _revisions(
    session: aiohttp.ClientSession, etcd: str, prefix: str
) -> AsyncIterator[tuple[int, str, Mapping[str, Any] | None]]:
    """(revision, name, object) of each write below a prefix, None for a deletion, until the sentinel."""
    create = {"key": _base64(prefix), "range_end": _base64(prefix[:-1] + "0"), "start_revision": "1"}
    timeout = aiohttp.ClientTimeout(total=60)
    async with session.post(f"{etcd}/v3/watch", json={"create_request": create}, timeout=timeout) as response:
        response.raise_for_status()
        rest = b""
        async for chunk in response.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                for event in json.loads(line)["result"].get("events", ()):
                    entry = event["kv"]
                    name = base64.b64decode(entry["key"]).decode().removeprefix(prefix)
                    if name == SENTINEL:
                        return
                    if event.get("type") == "DELETE":
                        yield int(entry["mod_revision"]), name, None
                        continue
                    body = json.loads(base64.b64decode(entry["value"]))
                    if ANNOTATION + "claim" in body["metadata"].get("annotations", {}):
                        yield int(entry["mod_revision"]), name, body


def _change(kind: str, revision: int, body: Mapping[str, Any]) -> Change:
    metadata, status = body["metadata"], body.get("status") or {}
    annotations = metadata["annotations"]
    run = metadata["name"] if kind == "Job" else metadata["labels"]["batch.kubernetes.io/job-name"]
    over = status.get("phase") in FINAL_PHASES if kind == "Pod" else _has_verdict(status)
    return Change(
        revision=revision,
        kind=kind,
        name=metadata["name"],
        uid=metadata["uid"],
        run=run,
        queue=metadata["labels"][ANNOTATION + "queue"],
        job_id=annotations[ANNOTATION + "job-id"],
        claim=int(annotations[ANNOTATION + "claim"]),
        attempt=int(annotations[ANNOTATION + "attempt"]),
        live=not over,
        ending=_ending(status) if kind == "Pod" and over else "",
        leaving="deletionTimestamp" in metadata,
    )


def _gone(last: Change, revision: int) -> Change:
    return Change(**{**vars(last), "revision": revision, "live": False})


def _has_verdict(status: Mapping[str, Any]) -> bool:
    conditions = status.get("conditions") or ()
    return any(known["type"] in ("Complete", "Failed") and known["status"] == "True" for known in conditions)


def _ending(status: Mapping[str, Any]) -> str:
    """How a pod ended: the runner's own verdict first, then what was done to it."""
    states = [container.get("state", {}) for container in status.get("containerStatuses") or ()]
    terminated: Mapping[str, Any] = next((state["terminated"] for state in states if "terminated" in state), {})
    if terminated.get("exitCode") in VERDICTS:
        return VERDICTS[terminated["exitCode"]]
    conditions = status.get("conditions") or ()
    if any(known["type"] == "DisruptionTarget" and known["status"] == "True" for known in conditions):
        return "disrupted"
    if terminated.get("reason") == "OOMKilled":
        return "failed"
    return "disrupted"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
