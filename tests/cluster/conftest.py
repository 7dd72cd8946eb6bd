"""The cluster that these tests share: a real control plane, a node that runs pods, a namespace for each test."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import suppress

import pytest

from support.controlplane import ControlPlane, KubectlError
from support.controlplane import control_plane as running_control_plane
from support.controlplane_build import control_plane_programs
from support.scripted_run import ENTRYPOINT, SCRIPTED_IMAGE
from support.testnode import BARE_IMAGE, RUNNER_IMAGE, TestNode, running_test_node
from support.tools import ROOT


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing before the first test: its minutes must not count as a test's."""
    if any("control_plane" in getattr(item, "fixturenames", ()) for item in session.items):
        control_plane_programs()


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


def _wait_for_default_service_account(control_plane: ControlPlane, namespace: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(KubectlError):
            control_plane.kubectl("get", "serviceaccount", "default", "--namespace", namespace)
            return
        time.sleep(0.05)
    raise TimeoutError(f"namespace {namespace} got no default service account: pods cannot be made in it")
