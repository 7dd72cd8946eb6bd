"""PaperJobs as it is installed: a real control plane, Valkey, a node that runs pods, and one operator process."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.controlplane import ControlPlane, KubectlError, control_plane
from support.operator_process import OperatorProcess, operator_processes, until
from support.scripted_run import ENTRYPOINT, SCRIPTED_IMAGE
from support.testnode import TestNode, running_test_node
from support.tools import ROOT
from support.valkey import valkey_server


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What a figure is measured on."""

    cluster: ControlPlane
    node: TestNode
    valkey_port: int
    namespace: str
    operator: OperatorProcess
    """It leads, and serves the queues that were asked for."""


@contextmanager
def installation(folder: Path, queues: Path | Mapping[str, Any]) -> Iterator[Installation]:
    """Everything started, `queues` (a folder of manifests, or one manifest) served; stopped afterwards."""
    images = {SCRIPTED_IMAGE: ENTRYPOINT}
    with (
        control_plane(_made(folder / "control-plane")) as cluster,
        valkey_server(_made(folder / "valkey")) as port,
        running_test_node(cluster.kubeconfig, images, _made(folder / "node")) as node,
    ):
        namespace = f"bench-{uuid.uuid4().hex[:8]}"
        new_namespace(cluster, namespace)
        cluster.kubectl("apply", "-f", str(ROOT / "crds"))
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
        cluster.kubectl("-n", namespace, "apply", "-f", str(ROOT / "crds" / "rbac" / "operator.yaml"))
        if isinstance(queues, Path):
            cluster.kubectl("-n", namespace, "apply", "-f", str(ROOT / "crds" / "budgets"), "-f", str(queues))
        else:
            cluster.apply({**queues, "metadata": {**queues["metadata"], "namespace": namespace}})
        kubeconfig = cluster.kubeconfig_of(namespace, "paperjobs-operator")
        with operator_processes(folder, kubeconfig, port, SCRIPTED_IMAGE) as start:
            operator = start()
            until(operator.ready)
            until(lambda: "paperjobs_tick_seconds_count{" in operator.get("/metrics")[1])
            yield Installation(cluster=cluster, node=node, valkey_port=port, namespace=namespace, operator=operator)
            if node.errors:
                raise RuntimeError(f"the test node failed, so the figures mean nothing: {node.errors}")


def new_namespace(cluster: ControlPlane, name: str) -> None:
    """Make a namespace in which pods can be made."""
    cluster.kubectl("create", "namespace", name)

    def has_account() -> bool:
        with suppress(KubectlError):
            cluster.kubectl("get", "serviceaccount", "default", "--namespace", name)
            return True
        return False

    until(has_account)


def bench_queue(name: str, *, concurrency: int, keep: int) -> dict[str, Any]:
    """A PaperQueue whose limits are in force, as on every real queue, but never in the way."""
    return {
        "apiVersion": "paperjobs.dev/v1alpha1",
        "kind": "PaperQueue",
        "metadata": {"name": name},
        "spec": {
            "queue": name,
            "pipeline": "institution-extraction",
            "concurrency": concurrency,
            "rateLimit": {"max": 10_000, "per": "60s"},
            "history": {"completed": keep, "failed": keep},
        },
    }


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
