"""PaperJobs as it is installed: a real control plane, Valkey, and operators as processes."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paperjobs.kube.paperqueue import queue_settings
from paperjobs.model import QueueSettings
from support.controlplane import ControlPlane, KubectlError, control_plane
from support.operator_process import OperatorProcess, operator_processes, until
from support.scripted_run import ENTRYPOINT, SCRIPTED_IMAGE
from support.testnode import running_test_node
from support.tools import ROOT
from support.valkey import valkey_server

Manifest = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Site:
    """What an operator needs around it."""

    cluster: ControlPlane
    valkey_port: int
    namespace: str
    start: Callable[[], OperatorProcess]
    """One more replica; returns at once."""


@dataclass(frozen=True, kw_only=True)
class Installation(Site):
    """A site with an operator at work."""

    operator: OperatorProcess
    """It leads, and serves the queues that were asked for."""


@contextmanager
def site(folder: Path, queues: Path | Sequence[Manifest]) -> Iterator[Site]:
    """A cluster with our kinds, rights and `queues` (a folder of manifests, or some manifests); stopped afterwards."""
    with control_plane(_made(folder / "control-plane")) as cluster, valkey_server(_made(folder / "valkey")) as port:
        namespace = f"bench-{uuid.uuid4().hex[:8]}"
        new_namespace(cluster, namespace)
        cluster.kubectl("apply", "-f", str(ROOT / "crds"))
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
        cluster.kubectl("-n", namespace, "apply", "-f", str(ROOT / "crds" / "rbac" / "operator.yaml"))
        if isinstance(queues, Path):
            cluster.kubectl("-n", namespace, "apply", "-f", str(ROOT / "crds" / "budgets"), "-f", str(queues))
        else:
            cluster.apply(*({**one, "metadata": {**one["metadata"], "namespace": namespace}} for one in queues))
        kubeconfig = cluster.kubeconfig_of(namespace, "paperjobs-operator")
        with operator_processes(folder, kubeconfig, port, SCRIPTED_IMAGE) as start:
            yield Site(cluster=cluster, valkey_port=port, namespace=namespace, start=start)


@contextmanager
def installation(folder: Path, queues: Path | Sequence[Manifest]) -> Iterator[Installation]:
    """A site with one operator, and a node that runs the programs of pods; stopped afterwards."""
    with site(folder, queues) as place, test_node(place, folder):
        yield installed(place)


@contextmanager
def test_node(place: Site, folder: Path) -> Iterator[None]:
    """A node that runs the programs of pods."""
    images = {SCRIPTED_IMAGE: ENTRYPOINT}
    with running_test_node(place.cluster.kubeconfig, images, _made(folder / "node")) as node:
        yield
        if node.errors:
            raise RuntimeError(f"the test node failed, so the figures mean nothing: {node.errors}")


def installed(place: Site) -> Installation:
    """Start an operator; returns when it serves its queues."""
    operator = place.start()
    until(operator.ready)
    until(lambda: serves(operator))
    return Installation(**vars(place), operator=operator)


async def first_launch(operator: OperatorProcess, *, since: float, seconds: float = 60.0) -> float:
    """Seconds from `since` (time.monotonic()) to the operator's first launch of a run, as its log tells."""
    async with asyncio.timeout(seconds):
        while '"launched"' not in operator.log.read_text():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return time.monotonic() - since


def serves(operator: OperatorProcess) -> bool:
    """Whether a queue's loop has ticked."""
    return "paperjobs_tick_seconds_count{" in operator.get("/metrics")[1]


def settings_of(queue: Manifest) -> QueueSettings:
    """A manifest of a PaperQueue as the operator reads it."""
    return queue_settings(queue, SCRIPTED_IMAGE)


def new_namespace(cluster: ControlPlane, name: str) -> None:
    """Make a namespace in which pods can be made."""
    cluster.kubectl("create", "namespace", name)

    def has_account() -> bool:
        with suppress(KubectlError):
            cluster.kubectl("get", "serviceaccount", "default", "--namespace", name)
            return True
        return False

    until(has_account)


def bench_queue(name: str, *, concurrency: int, keep: int = 10) -> dict[str, Any]:
    """A PaperQueue whose window is in force, as on every real queue, but never in the way."""
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
