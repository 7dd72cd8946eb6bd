"""Builds the control plane (etcd, kube-apiserver, kube-controller-manager, kubectl) and helm from their Go modules.

Nothing is downloaded but modules. What is built is kept outside the tree, under a name that changes with its sources:
`${XDG_CACHE_HOME:-~/.cache}/paperjobs/controlplane-<hash>/`. The first build takes minutes, so `make control-plane`
does it before the tests start: `python -m support.controlplane_build`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.tools import ROOT, ToolMissing, go

SOURCES = ROOT / "tests" / "cluster" / "controlplane"
KUBERNETES_VERSION = "1.35.4"
"""What clients are told; the module's version is pinned in go.mod, and a test compares the two."""

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")

HELM_VERSION = "4.3.1"


def control_plane_programs() -> Path:
    """The folder that holds `PROGRAMS`: KUBEBUILDER_ASSETS when that is set, else the cache, built when missing."""
    if given := os.environ.get("KUBEBUILDER_ASSETS"):
        missing = [name for name in PROGRAMS if not os.access(Path(given) / name, os.X_OK)]
        if missing:
            raise ToolMissing(f"KUBEBUILDER_ASSETS={given} lacks {', '.join(missing)}: add them there, or unset it")
        return Path(given)
    folder = _cache() / f"controlplane-{_hash_of_sources()}"
    with _only_one_builder(folder):
        if not all((folder / name).exists() for name in PROGRAMS):
            _build_control_plane(folder)
    return folder


def helm() -> Path:
    """The helm program, built when it is missing."""
    folder = _cache() / f"helm-{HELM_VERSION}"
    binary = folder / "helm"
    with _only_one_builder(folder):
        if not binary.exists():
            stamp = f"-s -w -X helm.sh/helm/v4/internal/version.version=v{HELM_VERSION}"
            module = f"helm.sh/helm/v4/cmd/helm@v{HELM_VERSION}"
            _go(["install", "-trimpath", "-ldflags", stamp, module], cwd=folder, GOBIN=str(folder))
    return binary


def _build_control_plane(folder: Path) -> None:
    major, minor, _ = KUBERNETES_VERSION.split(".")
    variables = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    stamps = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in variables.items())
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        binary = Path(unfinished) / "controlplane"
        _go(["build", "-trimpath", "-ldflags", f"-s -w {stamps}", "-o", str(binary), "."], cwd=SOURCES)
        binary.rename(folder / binary.name)
    for name in PROGRAMS:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(binary.name)


def _go(arguments: Sequence[str], *, cwd: Path, **variables: str) -> None:
    # Our own versions of Go and of every module: no other toolchain, no flags or workspace of the machine.
    fixed = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    answer = subprocess.run(
        [str(go()), *arguments], cwd=cwd, env={**os.environ, **fixed, **variables}, stderr=subprocess.PIPE, text=True
    )
    if answer.returncode != 0:
        raise RuntimeError(f"go {arguments[0]} failed in {cwd}:\n{answer.stderr}")


def _hash_of_sources() -> str:
    digest = hashlib.sha256(f"{KUBERNETES_VERSION} {platform.machine()}".encode())
    for name in ("main.go", "go.mod", "go.sum"):
        digest.update((SOURCES / name).read_bytes())
    return digest.hexdigest()[:16]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "paperjobs"


@contextmanager
def _only_one_builder(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Build what is missing, and say where it is."""
    parts: dict[str, Callable[[], Path]] = {"control plane": control_plane_programs, "helm": helm}
    for name, build in parts.items():
        print(f"{name}: looking for it (building it takes minutes, once)", flush=True)
        started = time.monotonic()
        print(f"{name}: {build()} ({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    main()
