"""The cluster that the operator's tests stand on: it is a real one, and the test node behaves as a kubelet does."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.controlplane import ControlPlane, KubectlError
from support.controlplane_build import HELM_VERSION, KUBERNETES_VERSION, SOURCES, helm
from support.testnode import BARE_IMAGE, Fault, TestNode

pytestmark = pytest.mark.usefixtures("test_node")

SLEEP = ["sleep", "60"]


class Cluster:
    """Jobs in the test's namespace, and what the API server says about them."""

    def __init__(self, control_plane: ControlPlane, namespace: str) -> None:
        self._control_plane = control_plane
        self.namespace = namespace

    def run(self, command: Sequence[str], *, container: Mapping[str, Any] | None = None, **spec: Any) -> None:
        """Create the Job `work`, shaped as the operator shapes its own."""
        template = {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": BARE_IMAGE, "command": list(command), **(container or {})}],
        }
        job = {"backoffLimit": 0, "podReplacementPolicy": "Failed", **spec, "template": {"spec": template}}
        self.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"}, "spec": job})

    def apply(self, manifest: Mapping[str, Any]) -> None:
        metadata = {**manifest["metadata"], "namespace": self.namespace}
        self._control_plane.apply({**manifest, "metadata": metadata})

    def kubectl(self, *arguments: str) -> str:
        return self._control_plane.kubectl("--namespace", self.namespace, *arguments)

    def pods(self) -> list[dict[str, Any]]:
        """The Job's pods."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", "pods", "-l", "job-name=work", "-o", "json"))[
            "items"
        ]
        return found

    def pod_when(self, wanted: Callable[[dict[str, Any]], bool], *, seconds: float = 20) -> dict[str, Any]:
        """The first pod that is as wanted, as soon as there is one."""
        deadline = time.monotonic() + seconds
        while True:
            pods = self.pods()
            if found := next((pod for pod in pods if wanted(pod)), None):
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"no pod is as wanted after {seconds} s: {json.dumps(pods, indent=1)}")
            time.sleep(0.05)

    def ended_pod(self) -> dict[str, Any]:
        return self.pod_when(lambda pod: pod["status"]["phase"] in {"Succeeded", "Failed"})

    def wait_for_job(self, condition: str) -> None:
        self.kubectl("wait", "job/work", f"--for=condition={condition}", "--timeout=20s")


@pytest.fixture
def cluster(control_plane: ControlPlane, namespace: str) -> Cluster:
    return Cluster(control_plane, namespace)


def terminated(pod: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    return found


def conditions(pod: Mapping[str, Any]) -> dict[str, tuple[str, str | None]]:
    return {entry["type"]: (entry["status"], entry.get("reason")) for entry in pod["status"]["conditions"]}


def until(true: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        time.sleep(0.01)


def waiting_reason(pod: Mapping[str, Any]) -> str | None:
    statuses = pod["status"].get("containerStatuses", [])
    reason: str | None = statuses[0]["state"].get("waiting", {}).get("reason") if statuses else None
    return reason


def test_the_control_plane_says_the_version_that_its_module_has(control_plane: ControlPlane) -> None:
    said = json.loads(control_plane.kubectl("version", "--output", "json"))
    assert said["serverVersion"]["gitVersion"] == said["clientVersion"]["gitVersion"] == f"v{KUBERNETES_VERSION}"
    assert f"require k8s.io/kubernetes v{KUBERNETES_VERSION}\n" in (SOURCES / "go.mod").read_text()


def test_helm_answers() -> None:
    answer = subprocess.run([helm(), "version", "--short"], capture_output=True, text=True, check=True)
    assert answer.stdout.startswith(f"v{HELM_VERSION}")


def test_a_role_allows_what_it_says_and_nothing_else(control_plane: ControlPlane, namespace: str) -> None:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    kubeconfig = control_plane.service_account(namespace, "reader", rules)
    assert control_plane.kubectl("get", "pods", kubeconfig=kubeconfig) == ""
    with pytest.raises(KubectlError, match=r"Forbidden.*reader"):
        control_plane.kubectl("get", "secrets", kubeconfig=kubeconfig)
    with pytest.raises(KubectlError, match=r"Forbidden.*reader"):
        control_plane.kubectl("get", "pods", "--namespace", "default", kubeconfig=kubeconfig)


def test_a_job_s_command_runs_for_real_and_the_job_completes(cluster: Cluster, tmp_path: Path) -> None:
    cluster.run(["sh", "-c", f"echo done > {tmp_path}/result"])
    cluster.wait_for_job("Complete")
    assert (tmp_path / "result").read_text() == "done\n"
    pod = cluster.ended_pod()
    assert pod["status"]["phase"] == "Succeeded"
    assert (terminated(pod)["exitCode"], terminated(pod)["reason"]) == (0, "Completed")


def test_exit_code_and_termination_message_are_those_of_the_command(cluster: Cluster, test_node: TestNode) -> None:
    script = 'echo working; printf \'{"message":"no such paper"}\' > "$PAPERJOBS_TERMINATION_LOG"; exit 65'
    cluster.run(["sh", "-c", script])
    cluster.wait_for_job("Failed")
    ended = terminated(cluster.ended_pod())
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (65, "Error", '{"message":"no such paper"}')
    [started] = test_node.started_in(cluster.namespace)
    assert started.log.read_text() == "working\n"


def test_a_long_termination_message_is_cut_to_4096_bytes(cluster: Cluster) -> None:
    cluster.run(["sh", "-c", 'head -c 5000 /dev/zero | tr "\\0" x > "$PAPERJOBS_TERMINATION_LOG"'])
    assert terminated(cluster.ended_pod())["message"] == "x" * 4096


def test_without_a_message_the_log_s_end_is_it_when_the_spec_says_so(cluster: Cluster) -> None:
    container = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    cluster.run(["sh", "-c", "echo 'Traceback: out of luck' >&2; exit 1"], container=container)
    assert terminated(cluster.ended_pod())["message"] == "Traceback: out of luck\n"


def test_the_container_gets_its_spec_s_variables_expanded_as_kubernetes_does(cluster: Cluster) -> None:
    cluster.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"KEY": "s3cret", "B": "b"}}
    )
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hosts"}, "data": {"HOST": "redis"}})
    variables = [
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "KEY"}}},
        {"name": "OPTIONAL", "valueFrom": {"secretKeyRef": {"name": "none", "key": "KEY", "optional": True}}},
        {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "URL", "value": "redis://:$(KEY)@$(ALL_HOST)"},
        {"name": "PAYLOAD", "value": '{"title":"$$(KEY) costs $5 $(UNKNOWN) $$$$"}'},
        {"name": "EMPTY", "value": ""},
    ]
    names = ["KEY", "NAMESPACE", "URL", "PAYLOAD", "EMPTY", "ALL_HOST", "B"]
    tell = "".join(f'printf "%s\\n" "{name}=${name}";' for name in names) + 'echo "OPTIONAL=${OPTIONAL-unset}"'
    sources = [{"secretRef": {"name": "keys"}}, {"prefix": "ALL_", "configMapRef": {"name": "hosts"}}]
    container = {"env": variables, "envFrom": sources}
    cluster.run(["sh", "-c", f'{{ {tell.replace("$", "$$")}; }} > "$PAPERJOBS_TERMINATION_LOG"'], container=container)
    assert terminated(cluster.ended_pod())["message"].splitlines() == [
        "KEY=s3cret",
        f"NAMESPACE={cluster.namespace}",
        "URL=redis://:s3cret@redis",
        'PAYLOAD={"title":"$(KEY) costs $5 $(UNKNOWN) $$"}',
        "EMPTY=",
        "ALL_HOST=redis",
        "B=b",
        "OPTIONAL=unset",
    ]


def test_a_container_waits_for_a_secret_that_is_missing(cluster: Cluster) -> None:
    container = {"env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "late", "key": "KEY"}}}]}
    cluster.run(["sh", "-c", 'test "$KEY" = here'], container=container)
    pod = cluster.pod_when(lambda pod: waiting_reason(pod) == "CreateContainerConfigError")
    assert pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"] == 'secret "late" not found'
    cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}, "stringData": {"KEY": "here"}})
    cluster.wait_for_job("Complete")


def test_a_program_that_does_not_exist_fails_as_in_a_container(cluster: Cluster) -> None:
    cluster.run(["no-such-program"])
    ended = terminated(cluster.ended_pod())
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")


def test_deleting_the_job_ends_the_process_and_removes_the_pod(cluster: Cluster, test_node: TestNode) -> None:
    cluster.run(["sh", "-c", "trap 'exit 143' TERM; echo ready; while :; do sleep 0.05; done"])
    [started] = test_node.wait_until_running(cluster.namespace)
    until(lambda: "ready" in started.log.read_text())
    cluster.kubectl("delete", "job", "work", "--cascade=foreground", "--timeout=20s")
    assert started.exit_code == 143
    assert cluster.pods() == []


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace_period(cluster: Cluster, test_node: TestNode) -> None:
    cluster.run(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"])
    [started] = test_node.wait_until_running(cluster.namespace)
    until(lambda: "ready" in started.log.read_text())
    before = time.monotonic()
    cluster.kubectl("delete", "pod", started.pod, "--grace-period=1", "--timeout=20s")
    assert time.monotonic() - before >= 1
    assert started.exit_code == 137


def test_a_job_s_deadline_ends_its_pod(cluster: Cluster, test_node: TestNode) -> None:
    cluster.run(SLEEP, activeDeadlineSeconds=1)
    [started] = test_node.wait_until_running(cluster.namespace)
    cluster.wait_for_job("Failed")
    reason = cluster.kubectl("get", "job", "work", "-o", "jsonpath={.status.conditions[?(@.type=='Failed')].reason}")
    assert reason == "DeadlineExceeded"
    assert started.exit_code == 143


def test_an_image_that_cannot_be_pulled_keeps_the_pod_waiting(cluster: Cluster, test_node: TestNode) -> None:
    test_node.inject(Fault.IMAGE_PULL, namespace=cluster.namespace)
    cluster.run(["true"])
    pod = cluster.pod_when(lambda pod: waiting_reason(pod) == "ImagePullBackOff")
    assert pod["status"]["phase"] == "Pending"
    test_node.heal()
    cluster.wait_for_job("Complete")


def test_an_image_that_the_node_does_not_know_cannot_be_pulled(cluster: Cluster) -> None:
    cluster.run(["true"], container={"image": "registry.example/none:1"})
    cluster.pod_when(lambda pod: waiting_reason(pod) == "ImagePullBackOff")


def test_a_pod_that_waits_for_its_image_can_be_deleted(cluster: Cluster) -> None:
    cluster.run(["true"], container={"image": "registry.example/none:1"})
    cluster.pod_when(lambda pod: waiting_reason(pod) == "ImagePullBackOff")
    cluster.kubectl("delete", "job", "work", "--cascade=foreground", "--timeout=20s")
    assert cluster.pods() == []


def test_an_unschedulable_pod_says_so_until_there_is_room(cluster: Cluster, test_node: TestNode) -> None:
    test_node.inject(Fault.UNSCHEDULABLE, namespace=cluster.namespace)
    cluster.run(["true"])
    pod = cluster.pod_when(lambda pod: "conditions" in pod["status"])
    assert conditions(pod)["PodScheduled"] == ("False", "Unschedulable")
    assert "nodeName" not in pod["spec"]
    test_node.heal()
    cluster.wait_for_job("Complete")
    assert conditions(cluster.ended_pod())["PodScheduled"][0] == "True"


def test_a_slow_start_delays_the_container_only(cluster: Cluster, test_node: TestNode) -> None:
    test_node.start_delay = 1.0
    before = time.monotonic()
    cluster.run(["true"])
    cluster.wait_for_job("Complete")
    [started] = test_node.started_in(cluster.namespace)
    assert started.at - before >= 1.0


def test_only_as_many_pods_suffer_a_fault_as_were_asked_for(cluster: Cluster, test_node: TestNode) -> None:
    test_node.inject(Fault.OOM_KILLED, namespace=cluster.namespace, pods=1)
    cluster.run(["sleep", "0.3"], backoffLimit=1, parallelism=2, completions=2)
    cluster.pod_when(lambda pod: bool(pod["status"]["phase"] == "Failed"))
    cluster.pod_when(lambda pod: bool(pod["status"]["phase"] == "Succeeded"))


def test_a_container_that_takes_too_much_memory_is_oom_killed(cluster: Cluster, test_node: TestNode) -> None:
    cluster.run(SLEEP)
    [started] = test_node.wait_until_running(cluster.namespace)
    test_node.oom_kill(started)
    ended = terminated(cluster.ended_pod())
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")
    cluster.wait_for_job("Failed")


def test_an_eviction_is_a_disruption_and_no_failure_of_the_container(cluster: Cluster, test_node: TestNode) -> None:
    cluster.run(SLEEP)
    [started] = test_node.wait_until_running(cluster.namespace)
    test_node.evict(started)
    pod = cluster.ended_pod()
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "Evicted")
    assert conditions(pod)["DisruptionTarget"] == ("True", "TerminationByKubelet")
    cluster.wait_for_job("Failed")


def test_a_lost_node_s_pod_stays_until_it_is_collected(cluster: Cluster, test_node: TestNode) -> None:
    cluster.run(SLEEP)
    [started] = test_node.wait_until_running(cluster.namespace)
    test_node.lose(started)
    [pod] = cluster.pods()
    assert pod["status"]["phase"] == "Running"
    assert "deletionTimestamp" in pod["metadata"]
    assert conditions(pod)["DisruptionTarget"] == ("True", "DeletionByTaintManager")
    test_node.collect_lost(started)
    cluster.wait_for_job("Failed")
    assert cluster.pods() == []


def test_node_and_pods_survive_a_restart_of_the_api_server(
    cluster: Cluster, control_plane: ControlPlane, test_node: TestNode, tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    cluster.run(["sh", "-c", f"while ! test -e {go_on}; do sleep 0.05; done"])
    [started] = test_node.wait_until_running(cluster.namespace)
    control_plane.stop_api_server()
    go_on.touch()
    try:
        until(lambda: started.exit_code == 0)
    finally:
        control_plane.start_api_server()
    cluster.wait_for_job("Complete")
    assert len(test_node.started_in(cluster.namespace)) == 1
