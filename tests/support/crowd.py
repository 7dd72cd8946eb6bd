"""Thousands of runs in seconds: copies of a real one, written straight into etcd and Redis.

The original was made by the operator, the Job controller and a node, so that a copy is what the real thing would be;
names, uids and tokens are its own. Through the API server the same would take minutes.
"""

from __future__ import annotations

import base64
import json
import urllib.request
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis

from paperjobs.model import Claim, QueueSettings, paperjob_name, run_name
from support.controlplane import ControlPlane

TOGETHER: Final = 100
"""Objects in one transaction of etcd, which takes 128."""

LOCK_MS: Final = 3_600_000


@dataclass(frozen=True, kw_only=True)
class Copy:
    """One more run: its objects as JSON, and what is about its BullMQ job."""

    namespace: str
    paperjob_name: str
    paperjob: str
    run: str
    job: str
    pod_name: str
    pod: str
    queue: str
    """Key of the queue in Redis, up to the last colon."""
    job_id: str
    token: str
    fields: Mapping[str, str]
    """The hash of the BullMQ job."""


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

    def copies(self, job_ids: Iterable[str]) -> Iterator[Copy]:
        """The same for other jobs, each with a claim of its own."""
        objects = (self.paperjob, self.job, self.pod)
        texts = [json.dumps(one) for one in objects]
        old_token, claims = self.fields["pb"], int(self.fields["ats"])
        installation = old_token.rpartition(":")[0]
        old_run, old_pod = self.job["metadata"]["name"], self.pod["metadata"]["name"]
        for job_id in job_ids:
            claim = Claim(number=claims, token=f"{installation}:{uuid.uuid4().hex}")
            run, shown = run_name(self.settings, job_id, claim), paperjob_name(self.settings, job_id)
            changes = {
                old_run: run,
                self.paperjob["metadata"]["name"]: shown,
                self.job_id: job_id,
                old_token: claim.token,
                **{one["metadata"]["uid"]: str(uuid.uuid4()) for one in objects},
            }
            paperjob, job, pod = (_replaced(text, changes) for text in texts)
            yield Copy(
                namespace=self.job["metadata"]["namespace"],
                paperjob_name=shown,
                paperjob=paperjob,
                run=run,
                job=job,
                pod_name=_replaced(old_pod, changes),
                pod=pod,
                queue=f"{self.settings.prefix}:{self.settings.queue}",
                job_id=job_id,
                token=claim.token,
                fields={name: _replaced(value, changes) for name, value in self.fields.items()},
            )


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


def put_into_cluster(cluster: ControlPlane, copies: Sequence[Copy]) -> None:
    """Write PaperJobs, Jobs and Pods, owners first: the garbage collector must find them."""
    for start in range(0, len(copies), TOGETHER):
        some = copies[start : start + TOGETHER]
        namespace = f"{some[0].namespace}/"
        _put(
            cluster,
            {f"/registry/paperjobs.dev/paperjobs/{namespace}{one.paperjob_name}": one.paperjob for one in some},
        )
        _put(cluster, {f"/registry/jobs/{namespace}{one.run}": one.job for one in some})
        _put(cluster, {f"/registry/pods/{namespace}{one.pod_name}": one.pod for one in some})


def take_out_of_cluster(cluster: ControlPlane, namespace: str) -> None:
    """Delete every PaperJob, Job and Pod of a namespace: the namespace controller would be busy with them for long."""
    for kind in ("paperjobs.dev/paperjobs", "jobs", "pods"):
        first = f"/registry/{kind}/{namespace}/"
        _ask_etcd(cluster, "deleterange", {"key": _base64(first), "range_end": _base64(first[:-1] + "0")})


def put_into_redis(port: int, copies: Iterable[Copy]) -> None:
    """Write the BullMQ jobs as active ones, with their locks."""
    with redis.Redis(host="127.0.0.1", port=port) as client, client.pipeline(transaction=False) as pipeline:
        for one in copies:
            pipeline.hset(f"{one.queue}:{one.job_id}", mapping=dict(one.fields))
            pipeline.set(f"{one.queue}:{one.job_id}:lock", one.token, px=LOCK_MS)
            pipeline.lpush(f"{one.queue}:active", one.job_id)
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


def _put(cluster: ControlPlane, values: Mapping[str, str]) -> None:
    puts = [{"requestPut": {"key": _base64(key), "value": _base64(value)}} for key, value in values.items()]
    if not _ask_etcd(cluster, "txn", {"success": puts}).get("succeeded"):
        raise RuntimeError("etcd did not take the objects")


def _ask_etcd(cluster: ControlPlane, what: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    if not cluster.etcd:
        raise RuntimeError("KUBECONFIG names the cluster, and nobody may write into that one's etcd")
    request = urllib.request.Request(f"{cluster.etcd}/v3/kv/{what}", data=json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.load(answer))


def _replaced(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
