"""The real parts that a storm rages on: a control plane with its history kept, Valkey with an append-only file, npm
bullmq 5 and 6, a node that runs pods, and operators that may kill themselves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

from chaos.apihistory import KEEPS_HISTORY
from chaos.jobs import QUEUES
from support.controlplane import ControlPlane, own_control_plane
from support.node_project import install_webapp
from support.operator_process import Start, operator_processes
from support.scripted_run import ENTRYPOINT, SCRIPTED_IMAGE
from support.testnode import TestNode, running_test_node
from support.tools import ROOT, node
from support.valkey import ValkeyServer, running_valkey
from support.webapp import WebApp, web_app

NAMESPACE: Final = "default"
BULLMQ_OF: Final = {"papers": 6, "tags": 5}
"""Which major version of npm bullmq adds to which queue."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything that runs."""

    folder: Path
    cluster: ControlPlane
    valkey: ValkeyServer
    redis: Redis
    node: TestNode
    apps: Mapping[str, WebApp]
    """By queue."""
    start: Start

    @property
    def run_log(self) -> Path:
        """Where the runners tell of their starts."""
        return self.folder / "runs.log"


@asynccontextmanager
async def running_parts(folder: Path, fsync: str) -> AsyncIterator[Parts]:
    """Everything started in `folder`, which must exist; stopped afterwards. `fsync` is Valkey's appendfsync."""
    for name in ("control-plane", "valkey", "node", "operators"):
        (folder / name).mkdir()
    options = ("--save", "", "--appendonly", "yes", "--appendfsync", fsync)
    async with AsyncExitStack() as stack:
        cluster = stack.enter_context(own_control_plane(folder / "control-plane", KEEPS_HISTORY))
        valkey = stack.enter_context(running_valkey(folder / "valkey", options))
        images = {SCRIPTED_IMAGE: ENTRYPOINT}
        test_node = stack.enter_context(running_test_node(cluster.kubeconfig, images, folder / "node"))
        cluster.kubectl("apply", "-f", str(ROOT / "crds"))
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
        cluster.kubectl("-n", NAMESPACE, "apply", "-f", str(ROOT / "crds" / "rbac" / "operator.yaml"))
        for queue in QUEUES:
            cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", stdin=json.dumps(_paperqueue(folder, queue)))
        kubeconfig = cluster.kubeconfig_of(NAMESPACE, "paperjobs-operator")
        start = stack.enter_context(operator_processes(folder / "operators", kubeconfig, valkey.port, SCRIPTED_IMAGE))
        redis = await stack.enter_async_context(Redis(host="127.0.0.1", port=valkey.port, decode_responses=True))
        apps = {
            queue: await stack.enter_async_context(web_app(node(), install_webapp(), valkey.port, bullmq=major))
            for queue, major in BULLMQ_OF.items()
        }
        yield Parts(folder=folder, cluster=cluster, valkey=valkey, redis=redis, node=test_node, apps=apps, start=start)


def _paperqueue(folder: Path, queue: str) -> dict[str, Any]:
    limits = QUEUES[queue]
    return {
        "apiVersion": "paperjobs.dev/v1alpha1",
        "kind": "PaperQueue",
        "metadata": {"name": queue},
        "spec": {
            "queue": queue,
            "pipeline": "institution-extraction",
            "concurrency": limits.concurrency,
            "rateLimit": {"max": limits.max, "per": f"{limits.per_ms / 1000:.0f}s"},
            # Old ones are deleted all the time: a deletion is a step like any other.
            "history": {"completed": 3, "failed": 3},
            "runner": {"env": [{"name": "SCRIPTED_LOG", "value": str(folder / "runs.log")}]},
        },
    }
