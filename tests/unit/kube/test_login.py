"""Credentials: a pod's service account or a kubeconfig, read again when they change."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml

from paperjobs.errors import SettingsError
from paperjobs.kube import login as login_module
from paperjobs.kube.login import kopf_connection, login


@pytest.fixture
def service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in (("token", "first"), ("ca.crt", "an authority"), ("namespace", "papers")):
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(login_module, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return tmp_path


def kubeconfig(folder: Path, **user: str) -> Path:
    path = folder / "kubeconfig"
    cluster = {"server": "https://127.0.0.1:6443", "certificate-authority-data": base64.b64encode(b"ca").decode()}
    content = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "mine"}}],
        "clusters": [{"name": "k", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


async def test_in_a_pod_the_service_account_is_used(service_account: Path) -> None:
    known = await login()
    connection = await kopf_connection(known)
    assert known.namespace == "papers"
    assert known.configuration.host == connection.server == "https://10.0.0.1:443"
    assert (connection.scheme, connection.token) == ("Bearer", "first")


async def test_a_rotated_token_is_read_again(service_account: Path) -> None:
    await login()
    (service_account / "token").write_text("second")
    assert (await kopf_connection(await login())).token == "second"


async def test_a_kubeconfig_wins_when_it_is_named(
    service_account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, token="personal")))
    known = await login()
    assert known.namespace == "mine"
    assert (await kopf_connection(known)).token == "personal"


async def test_credentials_are_never_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service_account: Path
) -> None:
    (service_account / "token").write_text("hunter2")
    assert "hunter2" not in repr(await login())


async def test_without_any_credentials_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing-here"))
    with pytest.raises(SettingsError, match="set KUBECONFIG to a kubeconfig file"):
        await login()
