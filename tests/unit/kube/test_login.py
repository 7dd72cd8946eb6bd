"""Credentials: a pod's service account or a kubeconfig, read again when they change."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml

from paperjobs.errors import SettingsError
from paperjobs.kube import login as login_module
from paperjobs.kube.api import LEASES, Api
from paperjobs.kube.login import kopf_connection, login
from support.fake_kube import FakeKube


@pytest.fixture
def service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in (("token", "first"), ("ca.crt", "an authority"), ("namespace", "papers")):
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(login_module, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return tmp_path


def kubeconfig(folder: Path, server: str = "https://127.0.0.1:6443", **user: str) -> Path:
    path = folder / "kubeconfig"
    authority = {"certificate-authority-data": base64.b64encode(b"ca").decode()} if server.startswith("https") else {}
    cluster = {"server": server, **authority}
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


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, "http://proxy.example:3128"),
        # Of the other scheme.
        ({"HTTP_PROXY": "http://proxy.example:3128"}, None),
        ({"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": "10.0.0.1"}, None),
        ({"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": "10.0.0.2"}, "http://proxy.example:3128"),
    ],
)
async def test_the_proxy_that_the_environment_names_is_looked_up_once(
    service_account: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], proxy: str | None
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    known = await login()
    assert (known.configuration.proxy, (await kopf_connection(known)).proxy_url) == (proxy, proxy)


async def test_a_request_does_not_look_into_the_environment(
    tmp_path: Path, kube: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server=kube.url, token="personal")))
    known = await login()
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with Api(known, "test") as api:
        assert await api.get(LEASES, "nothing") is None
