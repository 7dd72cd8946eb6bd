"""The real services that tests use. A part that is missing is an error of the test that needs it, never a skip."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import redis.asyncio
from hypothesis import HealthCheck, settings

from support.controlplane import ControlPlane, KubectlError
from support.controlplane import control_plane as running_control_plane
from support.controlplane_build import control_plane_programs
from support.node_project import install_webapp
from support.objects import Kubectl
from support.operator_process import Start, operator_processes
from support.postgres import postgres_database, postgres_server
from support.scripted_run import ENTRYPOINT, SCRIPTED_IMAGE
from support.testnode import BARE_IMAGE, RUNNER_IMAGE, TestNode, running_test_node
from support.tools import ROOT
from support.tools import node as find_node
from support.valkey import valkey_server

OF_PROCESSES: Final = frozenset({"cluster", "e2e", "integration", "promises"})
"""Folders of tests that start real servers."""

# A busy machine is no finding: neither a slow example nor slow generation fails a test.
settings.register_profile("paperjobs", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("paperjobs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that start real servers depend on when the machine lets those run: a fault that shows once is tried once
    more, and the run says so ("rerun"); one that shows twice is a finding. The others have no such excuse."""
    for item in items:
        if item.path.is_relative_to(ROOT / "tests") and item.path.relative_to(ROOT / "tests").parts[0] in OF_PROCESSES:
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing before the first test: its minutes must not count as a test's."""
    if any("control_plane" in getattr(item, "fixturenames", ()) for item in session.items):
        control_plane_programs()


@pytest.fixture(scope="session")
def valkey_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The loopback port of a real Valkey server that all tests share; `redis_client` empties it for each."""
    with valkey_server(tmp_path_factory.mktemp("valkey")) as port:
        yield port


@pytest.fixture
async def redis_client(valkey_port: int) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of an empty Valkey server, with text answers."""
    async with redis.asyncio.Redis(host="127.0.0.1", port=valkey_port, decode_responses=True) as client:
        await client.flushall()
        yield client


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    """The server named by TEST_DATABASE_URL (its user may create databases), else one started for the session."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
    else:
        with postgres_server() as url:
            yield url


@pytest.fixture
def postgres_url(postgres_server_url: str) -> Iterator[str]:
    """The URL (postgresql://…) of a new, empty PostgreSQL database."""
    with postgres_database(postgres_server_url) as url:
        yield url


@pytest.fixture(scope="session")
def node() -> Path:
    """A Node binary."""
    return find_node()


@pytest.fixture(scope="session")
def webapp_dir() -> Path:
    """The web app's Node project (tests/webapp) with its dependencies installed."""
    return install_webapp()


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A real API server with RBAC, its controllers, and kubectl; KUBECONFIG's cluster when that is set."""
    with running_control_plane(tmp_path_factory.mktemp("control-plane")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def session_node(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestNode]:
    """The node that all tests share; use `test_node`."""
    images = {
        RUNNER_IMAGE: [str(ROOT / ".venv" / "bin" / "paperjobs-runner")],
        BARE_IMAGE: [],
        SCRIPTED_IMAGE: ENTRYPOINT,
    }
    with running_test_node(control_plane.kubeconfig, images, tmp_path_factory.mktemp("node")) as node:
        yield node


@pytest.fixture
def test_node(session_node: TestNode) -> Iterator[TestNode]:
    """A node that runs pods on this machine; faults injected by a test end with it."""
    yield session_node
    session_node.heal()
    assert session_node.errors == []


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A new namespace, ready for pods; deleted afterwards."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    control_plane.kubectl("create", "namespace", name)
    _wait_for_default_service_account(control_plane, name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def kubectl(control_plane: ControlPlane, namespace: str) -> Kubectl:
    """kubectl as a person uses it: with all rights, in the test's namespace."""

    def call(*arguments: str, stdin: str | None = None) -> str:
        return control_plane.kubectl("-n", namespace, *arguments, stdin=stdin)

    return call


@pytest.fixture(scope="session")
def crds(control_plane: ControlPlane) -> None:
    """Our kinds, installed and served."""
    control_plane.kubectl("apply", "-f", str(ROOT / "crds"))
    control_plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")


@pytest.fixture
def start(control_plane: ControlPlane, crds: None, namespace: str, valkey_port: int, tmp_path: Path) -> Iterator[Start]:
    """Starts a replica of the operator with the rights of its role; its runs are those of `support.scripted_run`."""
    control_plane.kubectl("apply", "-n", namespace, "-f", str(ROOT / "crds" / "rbac" / "operator.yaml"))
    kubeconfig = control_plane.kubeconfig_of(namespace, "paperjobs-operator")
    with operator_processes(tmp_path, kubeconfig, valkey_port, SCRIPTED_IMAGE) as one_more:
        yield one_more


def _wait_for_default_service_account(control_plane: ControlPlane, namespace: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(KubectlError):
            control_plane.kubectl("get", "serviceaccount", "default", "--namespace", namespace)
            return
        time.sleep(0.05)
    raise TimeoutError(f"namespace {namespace} got no default service account: pods cannot be made in it")
