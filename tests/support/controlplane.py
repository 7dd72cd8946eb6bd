"""A real Kubernetes control plane for the tests: etcd, kube-apiserver, kube-controller-manager, on loopback.

There is no scheduler and no kubelet; `testnode.py` binds and runs the pods. RBAC is on, so what a role does not allow
is refused. With KUBECONFIG set, the tests use that cluster instead; it must not run pods by itself.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from support.controlplane_build import PROGRAMS, control_plane_programs
from support.kubeconfig import write_kubeconfig
from support.ports import free_port
from support.tether import tethered

START_SECONDS: Final = 60.0

CONTROLLERS: Final = (
    "job-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "ttl-after-finished-controller",
    "pod-garbage-collector-controller",
    "disruption-controller",
)
"""What jobs and their clean-up need. Others would only take time from the two cores that a test machine has."""


class KubectlError(Exception):
    """kubectl ended with an error; the text is what it printed."""


class ControlPlane:
    """A running cluster, and kubectl for it."""

    def __init__(self, kubeconfig: Path, kubectl: Path, folder: Path) -> None:
        self.kubeconfig: Final = kubeconfig
        """Of an administrator."""
        self.kubectl_program: Final = kubectl
        self.folder: Final = folder
        """Where the logs of the servers are, and the kubeconfigs of service accounts."""
        self.etcd = ""
        """The store behind the API server, for whoever wants to see all that it ever held; only of an own cluster."""

    def kubectl(self, *arguments: str, stdin: str | None = None, kubeconfig: Path | None = None) -> str:
        """What kubectl prints; raises KubectlError. Acts as the administrator unless another kubeconfig is given."""
        answer = subprocess.run(
            [str(self.kubectl_program), *arguments],
            env={**os.environ, "KUBECONFIG": str(kubeconfig or self.kubeconfig)},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if answer.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {answer.stderr.strip()}")
        return answer.stdout

    def apply(self, *manifests: Mapping[str, Any]) -> None:
        """Create or change objects with `kubectl apply`."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def service_account(self, namespace: str, name: str, rules: Sequence[Mapping[str, Any]]) -> Path:
        """The kubeconfig of a new service account that may do what the rules say, in its own namespace only."""
        metadata = {"name": name, "namespace": namespace}
        group = "rbac.authorization.k8s.io"
        self.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
            {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": list(rules)},
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
            },
        )
        return self.kubeconfig_of(namespace, name)

    def kubeconfig_of(self, namespace: str, service_account: str) -> Path:
        """A kubeconfig for a service account that exists, with a token of an hour."""
        token = self.kubectl("create", "token", service_account, "--namespace", namespace).strip()
        content = yaml.safe_load(self.kubeconfig.read_text())
        context = next(entry for entry in content["contexts"] if entry["name"] == content["current-context"])
        context["context"]["namespace"] = namespace
        user = next(entry for entry in content["users"] if entry["name"] == context["context"]["user"])
        user["user"] = {"token": token}
        path = self.folder / f"{namespace}-{service_account}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(content))
        return path

    def stop_api_server(self) -> None:
        """Kill the API server; etcd and the controllers stay. Skips the test on a cluster that is not ours to stop."""
        pytest.skip("KUBECONFIG names the cluster, and the tests must not stop that one's API server")

    def start_api_server(self) -> None:
        """Start the stopped API server again on the same port; returns when it is ready."""
        pytest.skip("KUBECONFIG names the cluster, and the tests must not stop that one's API server")

    @contextmanager
    def frozen_api_server(self) -> Iterator[None]:
        """The API server accepts connections and answers nothing, as on a stuck machine."""
        pytest.skip("KUBECONFIG names the cluster, and the tests must not stop that one's API server")
        yield


class _OwnControlPlane(ControlPlane):
    def __init__(self, folder: Path, api_server_flags: Mapping[str, str]) -> None:
        self._programs = control_plane_programs()
        self._api_server_flags = api_server_flags
        self._etcd_port, self._api_port = free_port(), free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._authority = folder / "certificates" / "apiserver.crt"
        self._token = secrets.token_hex(16)
        kubeconfig = write_kubeconfig(
            folder / "kubeconfig",
            url=f"https://127.0.0.1:{self._api_port}",
            authority=self._authority,
            token=self._token,
        )
        super().__init__(kubeconfig, self._programs / "kubectl", folder)
        self.etcd = f"http://127.0.0.1:{self._etcd_port}"
        _write_private(folder / "tokens.csv", f'{self._token},admin,admin,"system:masters"\n'.encode())
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        _write_private(folder / "service-accounts.key", pem)

    def start(self) -> None:
        peer = f"http://127.0.0.1:{free_port()}"
        self._run(
            "etcd",
            {
                "data-dir": str(self.folder / "etcd"),
                "listen-client-urls": self.etcd,
                "advertise-client-urls": self.etcd,
                "listen-peer-urls": peer,
                "initial-advertise-peer-urls": peer,
                "initial-cluster": f"default={peer}",
                "unsafe-no-fsync": "true",
                "log-level": "error",
            },
        )
        self.start_api_server()
        self._run(
            "kube-controller-manager",
            {
                "kubeconfig": str(self.kubeconfig),
                "controllers": ",".join(CONTROLLERS),
                "service-account-private-key-file": str(self.folder / "service-accounts.key"),
                "leader-elect": "false",
                "secure-port": "0",
                "kube-api-qps": "500",
                "kube-api-burst": "1000",
            },
        )

    def start_api_server(self) -> None:
        self._run(
            "kube-apiserver",
            {
                "etcd-servers": self.etcd,
                "bind-address": "127.0.0.1",
                "advertise-address": "127.0.0.1",
                "secure-port": str(self._api_port),
                "endpoint-reconciler-type": "none",  # it refuses to publish a loopback address
                "cert-dir": str(self.folder / "certificates"),
                "token-auth-file": str(self.folder / "tokens.csv"),
                "authorization-mode": "RBAC",
                "service-account-issuer": "https://kubernetes.default.svc",
                "service-account-key-file": str(self.folder / "service-accounts.key"),
                "service-account-signing-key-file": str(self.folder / "service-accounts.key"),
                "service-cluster-ip-range": "10.96.0.0/16",
                "max-requests-inflight": "2000",
                "max-mutating-requests-inflight": "1000",
                **self._api_server_flags,
            },
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.kubectl("get", "--raw", "/readyz")
                return
            except KubectlError as error:
                if time.monotonic() > deadline or self._processes["kube-apiserver"].poll() is not None:
                    raise RuntimeError(f"kube-apiserver did not start: {error}\n{self._log_end()}") from error
            time.sleep(0.1)

    def stop_api_server(self) -> None:
        self._end("kube-apiserver")

    @contextmanager
    def frozen_api_server(self) -> Iterator[None]:
        process = self._processes["kube-apiserver"]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        for name in reversed(PROGRAMS):
            if name in self._processes:
                self._end(name)

    def _run(self, name: str, flags: Mapping[str, str]) -> None:
        command = [str(self._programs / name), *(f"--{flag}={value}" for flag, value in flags.items())]
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(tethered(command), stdout=log, stderr=subprocess.STDOUT)

    def _end(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()  # an orderly end takes a minute while anybody watches, and nobody needs the data
        process.wait()

    def _log_end(self) -> str:
        return (self.folder / "kube-apiserver.log").read_text(errors="replace")[-3000:]


@contextmanager
def control_plane(folder: Path) -> Iterator[ControlPlane]:
    """The cluster that KUBECONFIG names, or a new one whose files are in `folder` and that ends with the context."""
    if given := os.environ.get("KUBECONFIG"):
        yield ControlPlane(Path(given), control_plane_programs() / "kubectl", folder)
        return
    with own_control_plane(folder, {}) as cluster:
        yield cluster


@contextmanager
def own_control_plane(folder: Path, api_server_flags: Mapping[str, str]) -> Iterator[ControlPlane]:
    """A new cluster, whatever KUBECONFIG says, with these flags beside or instead of the usual ones."""
    cluster = _OwnControlPlane(folder, api_server_flags)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
