"""Thousands of runs in seconds: copies of a real one, written straight into etcd and Redis.

The original was made by the operator, the Job controller and a node, so that a copy is what the real thing would be;
names, uids and tokens are its own. Through the API server the same would take minutes.
"""

from __future__ import annotations

import base64
import json
import urllib.request
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import redis

from paperjobs.model import Claim, QueueSettings, paperjob_name, run_name
from support.controlplane import ControlPlane

TOGETHER: Final = 100
"""Objects in one transaction of etcd, which takes 128."""

LOCK_MS: Final = 3_600_000


@dataclass(frozen=True, kw_only=True)
class Original:
    """A run as it is in the cluster and in Redis."""

    settings: QueueSettings
    job_id: str
    """Long and odd enough to be nowhere else in the objects."""
    paperjob: Mapping[str, Any]
    job: Mapping[str, Any]
    pod: Mapping[str, Any]
    fields: Mapping[str, str]
    """The hash of the BullMQ job."""

    @property
    def claim(self) -> Claim:
        return Claim(number=int(self.fields["ats"]), token=self.fields["pb"])

    def copy(self, job_id: str) -> Original:
        """The same for another job, with a claim of its own."""
        installation = self.claim.token.rpartition(":")[0]
        claim = replace(self.claim, token=f"{installation}:{uuid.uuid4().hex}")
        run, old_run = run_name(self.settings, job_id, claim), self.job["metadata"]["name"]
        changes = {
            old_run: run,
            self.paperjob["metadata"]["name"]: paperjob_name(self.settings, job_id),
            self.job_id: job_id,
            self.claim.token: claim.token,
            **{one["metadata"]["uid"]: str(uuid.uuid4()) for one in (self.paperjob, self.job, self.pod)},
        }
        text = json.dumps([self.paperjob, self.job, self.pod, self.fields])
        for old, new in changes.items():
            text = text.replace(old, new)
        paperjob, job, pod, fields = json.loads(text)
        return replace(self, job_id=job_id, paperjob=paperjob, job=job, pod=pod, fields=fields)


def original(cluster: ControlPlane, port: int, namespace: str, settings: QueueSettings, job_id: str) -> Original:
    """Read the run of a job."""

    def get(kind: str, *arguments: str) -> Any:
        text = cluster.kubectl("-n", namespace, "get", kind, *arguments, "-o", "json", "--show-managed-fields")
        found = json.loads(text)
        if found["kind"] == "List":
            (found,) = found["items"]
        del found["metadata"]["resourceVersion"]
        return found

    paperjob = get("paperjob", paperjob_name(settings, job_id))
    run = paperjob["status"]["run"]
    with redis.Redis(host="127.0.0.1", port=port, decode_responses=True) as client:
        fields = client.hgetall(f"{settings.prefix}:{settings.queue}:{job_id}")
    return Original(
        settings=settings,
        job_id=job_id,
        paperjob=paperjob,
        job=get("job", run),
        pod=get("pods", "-l", f"batch.kubernetes.io/job-name={run}"),
        fields=fields,
    )


def put_into_cluster(cluster: ControlPlane, copies: Iterable[Original]) -> None:
    """Write PaperJobs, Jobs and Pods, owners first: the garbage collector must find them."""
    copies = list(copies)
    for kind, bodies in (
        ("paperjobs.dev/paperjobs", [one.paperjob for one in copies]),
        ("jobs", [one.job for one in copies]),
        ("pods", [one.pod for one in copies]),
    ):
        for some in _in_parts(bodies):
            _put(cluster.etcd, kind, some)


def put_into_redis(port: int, copies: Iterable[Original]) -> None:
    """Write the BullMQ jobs as active ones, with their locks."""
    with redis.Redis(host="127.0.0.1", port=port) as client, client.pipeline(transaction=False) as pipeline:
        for one in copies:
            base = f"{one.settings.prefix}:{one.settings.queue}:"
            pipeline.hset(base + one.job_id, mapping=dict(one.fields))
            pipeline.set(f"{base}{one.job_id}:lock", one.claim.token, px=LOCK_MS)
            pipeline.lpush(f"{base}active", one.job_id)
        pipeline.execute()


def fill_waiting(port: int, settings: QueueSettings, count: int) -> None:
    """Add so many waiting jobs, as npm's queue.add would have left them."""
    with redis.Redis(host="127.0.0.1", port=port) as client:
        fill = client.register_script(_FILL)
        for first in range(0, count, 10_000):
            fill(keys=[f"{settings.prefix}:{settings.queue}:"], args=[first, min(count, first + 10_000)])


_FILL: Final = """
for number = tonumber(ARGV[1]) + 1, tonumber(ARGV[2]) do
  local id = "crowd-" .. number
  redis.call("HSET", KEYS[1] .. id, "name", "paper", "data",
    '{"paperId":"' .. number .. '","arxivUrl":"https://arxiv.org/abs/1706.03762"}',
    "opts", '{"attempts":3,"backoff":{"delay":5000,"type":"exponential"}}',
    "timestamp", "1795518736387", "delay", "0", "priority", "0")
  redis.call("LPUSH", KEYS[1] .. "wait", id)
end
redis.call("ZADD", KEYS[1] .. "marker", 0, "0")
"""


def _put(etcd_url: str, kind: str, bodies: list[Mapping[str, Any]]) -> None:
    puts = [
        {
            "requestPut": {
                "key": _base64(f"/registry/{kind}/{body['metadata']['namespace']}/{body['metadata']['name']}"),
                "value": _base64(json.dumps(body)),
            }
        }
        for body in bodies
    ]
    request = urllib.request.Request(f"{etcd_url}/v3/kv/txn", data=json.dumps({"success": puts}).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        if not json.load(answer).get("succeeded"):
            raise RuntimeError("etcd did not take the objects")


def _in_parts(bodies: list[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    for start in range(0, len(bodies), TOGETHER):
        yield bodies[start : start + TOGETHER]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
