"""A node without processes: it binds pods and reports that they run and, after a time, that they have ended.

`python -m bench.fakenode KUBECONFIG NAME SECONDS`, in a process of its own, so that it takes no turn from whoever is
measured. It writes what a scheduler and a kubelet write for a pod, and nothing else: the test node starts programs.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from support import noderegistration, podstatus
from support.kubeapi import ApiError, KubeApi, kube_api
from support.kubeconfig import read_kubeconfig
from support.podstatus import Ending
from support.tether import tethered
from support.tools import ROOT

READY: Final = "ready"
ENDING: Final = Ending(exit_code=0, reason="Completed", message='{"result":{}}')


@contextmanager
def fake_node(kubeconfig: Path, *, seconds: float, name: str = "fake-node") -> Iterator[None]:
    """A node whose pods run for so long; stopped afterwards."""
    command = [sys.executable, "-m", "bench.fakenode", str(kubeconfig), name, str(seconds)]
    process = subprocess.Popen(tethered(command), cwd=ROOT / "tests", stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() != READY:
            raise RuntimeError("the fake node did not start; its error is above")
        yield
        if process.poll() is not None:
            raise RuntimeError(f"the fake node ended with {process.returncode}, so the figures mean nothing")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def _serve(kubeconfig: Path, name: str, seconds: float) -> None:
    taken: set[str] = set()
    async with kube_api(read_kubeconfig(kubeconfig)) as api, asyncio.TaskGroup() as group:
        await noderegistration.register(api, name)
        group.create_task(noderegistration.keep_lease(api, name))
        async for event, seen in api.watch("/api/v1/pods"):
            if event == "LISTED":
                print(READY, flush=True)
            for pod in seen["items"] if event == "LISTED" else [seen]:
                if event == "DELETED":
                    taken.discard(pod["metadata"]["uid"])
                elif pod["status"]["phase"] == "Pending" and pod["metadata"]["uid"] not in taken:
                    taken.add(pod["metadata"]["uid"])
                    group.create_task(_live(api, name, pod, seconds))


async def _live(api: KubeApi, node: str, pod: Mapping[str, Any], seconds: float) -> None:
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
    target = {"kind": "Node", "name": node}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": metadata["name"]}, "target": target}
    try:
        await api.request("POST", f"{path}/binding", binding)
        started_at = podstatus.now()
        await api.request("PATCH", f"{path}/status", {"status": podstatus.running(pod, started_at)})
        await asyncio.sleep(seconds)
        await api.request("PATCH", f"{path}/status", {"status": podstatus.ended(pod, started_at, ENDING)})
    except ApiError as error:
        if error.status not in {404, 409}:  # somebody deleted it meanwhile
            raise


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
