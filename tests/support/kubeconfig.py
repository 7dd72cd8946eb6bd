"""Kubeconfig files: written for the control plane of the tests, read by the test node."""

from __future__ import annotations

import base64
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class ApiAccess:
    """How to talk to an API server over plain HTTP."""

    url: str
    tls: ssl.SSLContext
    headers: dict[str, str]


def write_kubeconfig(path: Path, *, url: str, authority: Path, token: str, namespace: str = "default") -> Path:
    """A kubeconfig whose only user has a bearer token; readable by its owner only."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": {"server": url, "certificate-authority": str(authority)}}],
        "users": [{"name": "tests", "user": {"token": token}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests", "namespace": namespace}}],
        "current-context": "tests",
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content))
    return path


def read_kubeconfig(path: Path) -> ApiAccess:
    """The access that the current context gives: bearer token or client certificate."""
    content = yaml.safe_load(path.read_text())
    context = _named(content, "contexts", content["current-context"])["context"]
    cluster = _named(content, "clusters", context["cluster"])["cluster"]
    user = _named(content, "users", context["user"])["user"]
    authority = _bytes_of(cluster, "certificate-authority", path.parent)
    tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    certificate, key = (_bytes_of(user, name, path.parent) for name in ("client-certificate", "client-key"))
    if certificate and key:
        with tempfile.NamedTemporaryFile(suffix=".pem") as pair:  # the ssl module reads it from a file only
            pair.write(certificate + b"\n" + key)
            pair.flush()
            tls.load_cert_chain(pair.name)
    elif not headers:
        raise ValueError(f"{path}: the test node needs a user with a token or a client certificate")
    return ApiAccess(url=cluster["server"].rstrip("/"), tls=tls, headers=headers)


def _named(content: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in content[kind] if entry["name"] == name)
    return found


def _bytes_of(entry: dict[str, Any], name: str, folder: Path) -> bytes | None:
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(data)
    return (folder / entry[name]).read_bytes() if name in entry else None
