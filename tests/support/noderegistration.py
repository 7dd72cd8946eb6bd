"""The Node object of the test node, and the lease that says it is alive."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

from support.kubeapi import ApiError, KubeApi
from support.podstatus import now

LEASE_SECONDS: Final = 10.0
"""Between two renewals, as a kubelet does; a cluster that has a node controller looks at it."""


async def register(api: KubeApi, name: str) -> None:
    """Create the Node, or take the one of that name over, and call it ready."""
    capacity = {"cpu": "64", "memory": "256Gi", "pods": "1000", "ephemeral-storage": "100Gi"}
    await _ensure(api, "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": now()}
    status = {"capacity": capacity, "allocatable": capacity, "conditions": [ready]}
    await api.request("PATCH", f"/api/v1/nodes/{name}/status", {"status": status})


async def keep_lease(api: KubeApi, name: str) -> None:
    """Renew the node's lease for ever."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-node-lease"}}
    await _ensure(api, "/api/v1/namespaces", namespace)
    path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    spec = {"holderIdentity": name, "leaseDurationSeconds": 40}
    metadata = {"name": name}
    await _ensure(
        api, path, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
    )
    while True:
        renewed = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        await api.request("PATCH", f"{path}/{name}", {"spec": {"renewTime": renewed}})
        await asyncio.sleep(LEASE_SECONDS)


async def _ensure(api: KubeApi, path: str, manifest: dict[str, Any]) -> None:
    try:
        await api.request("POST", path, manifest)
    except ApiError as error:
        if error.status != 409:
            raise
