"""`KubernetesCluster` on a real API server, with the operator's own namespaced rights and pods that really run."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from paperjobs.errors import LaunchRefused
from paperjobs.kube.api import PAPERJOBS, Api
from paperjobs.kube.cluster import KubernetesCluster
from paperjobs.kube.login import login
from paperjobs.kube.objects import Objects
from paperjobs.kube.runcache import RunCache
from paperjobs.kube.statuswriter import StatusWriter
from paperjobs.model import (
    Claim,
    Job,
    JobPhase,
    JobStatus,
    Outcome,
    OutcomeKind,
    QueueSettings,
    Run,
    RunnerTemplate,
    RunPhase,
    paperjob_name,
    run_name,
)
from support.controlplane import ControlPlane
from support.scripted_run import SCRIPTED_IMAGE
from support.testnode import Fault, TestNode
from support.tools import ROOT

QUEUE = QueueSettings(
    name="institutions",
    queue="institution-extraction",
    pipeline="institution-extraction",
    concurrency=2,
    template=RunnerTemplate(image=SCRIPTED_IMAGE),
)


def job(number: int = 1, claim: int = 1, **payload: Any) -> Job:
    data = json.dumps({"paperId": f"paper-{number}", "arxivUrl": "https://arxiv.org/abs/1706.03762", **payload})
    return Job(
        id=str(number),
        name="extract",
        claim=Claim(number=claim, token=f"paperjobs:{number}:{claim}"),
        attempts_made=claim - 1,
        data=data,
    )


@dataclass
class Bench:
    """The adapter under test, and the cluster it works on."""

    cluster: KubernetesCluster
    api: Api
    kubectl: Callable[..., str]
    requests: list[tuple[str, str]]

    async def launch(self, task: Job, queue: QueueSettings = QUEUE) -> str:
        name = run_name(queue, task.id, task.claim)
        await self.cluster.launch(queue, task, name)
        return name

    async def run_when(self, wanted: Callable[[Run], bool], name: str | None = None, seconds: float = 20.0) -> Run:
        deadline = time.monotonic() + seconds
        while True:
            runs = [run for run in self.cluster.runs(QUEUE) if name in (None, run.name)]
            for run in runs:
                if wanted(run):
                    return run
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {seconds} s there is {runs}")
            await asyncio.sleep(0.02)

    async def ended(self, name: str | None = None) -> Run:
        return await self.run_when(lambda run: not run.live, name)

    async def no_runs(self) -> list[Run]:
        """Returns every state that was seen until the last run was gone.

        Patient: the garbage collector looks for new kinds of objects only every 30 s."""
        seen: list[Run] = []
        async with asyncio.timeout(60):
            while runs := self.cluster.runs(QUEUE):
                seen += runs
                await asyncio.sleep(0.01)
        return seen

    @property
    def writes(self) -> int:
        return sum(verb not in ("get", "watch") for verb, _ in self.requests)

    def requested(self, verb: str, resource: str, code: int) -> None:
        self.requests.append((verb, resource))


@pytest.fixture(scope="module", autouse=True)
def _crds(control_plane: ControlPlane) -> None:
    control_plane.kubectl("apply", "-f", str(ROOT / "crds"))
    control_plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")


@pytest.fixture
def operator_kubeconfig(control_plane: ControlPlane, namespace: str) -> Path:
    control_plane.kubectl("apply", "-n", namespace, "-f", str(ROOT / "crds" / "rbac" / "operator.yaml"))
    return control_plane.kubeconfig_of(namespace, "paperjobs-operator")


@pytest.fixture
async def bench(
    control_plane: ControlPlane,
    namespace: str,
    operator_kubeconfig: Path,
    test_node: TestNode,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Bench]:
    monkeypatch.setenv("KUBECONFIG", str(operator_kubeconfig))
    async with opened(control_plane, namespace) as opened_bench:
        yield opened_bench


@asynccontextmanager
async def opened(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Bench]:
    def kubectl(*arguments: str, **options: Any) -> str:
        return control_plane.kubectl("-n", namespace, *arguments, **options)

    made = Bench(cluster=None, api=None, kubectl=kubectl, requests=[])  # type: ignore[arg-type]
    async with Api(await login(), namespace, made) as api:
        objects = Objects(lambda *_: None)
        await objects.reload(api)
        runs = RunCache(api, changed=lambda _: None, regained=lambda: None, resync_seconds=300)
        statuses = StatusWriter(lambda *_: asyncio.sleep(0, True))
        made.api = api
        made.cluster = KubernetesCluster(
            api=api, objects=objects, runs=runs, statuses=statuses, now=lambda: time.time_ns() // 1_000_000
        )
        watching = asyncio.create_task(runs.run())
        try:
            await runs.wait_until_synced()
            yield made
        finally:
            watching.cancel()
            await asyncio.wait({watching})


async def test_a_launched_run_counts_at_once_runs_and_ends_with_its_result(bench: Bench) -> None:
    name = await bench.launch(job(seconds=0.5, report={"result": {"institutions": 3}}))
    assert [(run.name, run.phase) for run in bench.cluster.runs(QUEUE)] == [(name, RunPhase.PENDING)]
    running = await bench.run_when(lambda run: run.phase is RunPhase.RUNNING)
    assert (running.job_id, running.claim, running.attempt) == ("1", 1, 1)
    run = await bench.ended()
    assert run.outcome is not None
    assert (run.outcome.kind, run.outcome.result) == (OutcomeKind.COMPLETED, {"institutions": 3})
    assert run.started_at is not None
    assert run.ended_at is not None


async def test_a_job_is_shown_by_a_paperjob_that_owns_its_runs(bench: Bench) -> None:
    name = await bench.launch(job(7))
    row = bench.kubectl("get", "paperjobs", "--no-headers").split()
    assert row[:3] == [paperjob_name(QUEUE, "7"), "institutions", "paper-7"]
    assert await bench.cluster.paperjob_exists(QUEUE, "7")
    bench.kubectl("delete", "paperjobs", "--all")
    assert not await bench.cluster.paperjob_exists(QUEUE, "7")
    await bench.no_runs()
    assert not await bench.cluster.run_exists(QUEUE, name)


async def test_launching_again_adopts_what_exists(bench: Bench, test_node: TestNode, namespace: str) -> None:
    task = job(seconds=1)
    await bench.launch(task)
    await bench.launch(task)
    await bench.ended()
    assert len(test_node.started_in(namespace)) == 1


async def test_another_attempt_has_a_run_of_its_own_under_the_same_paperjob(bench: Bench) -> None:
    first, second = await bench.launch(job(claim=1)), await bench.launch(job(claim=2))
    assert first != second
    assert bench.kubectl("get", "paperjobs", "-o", "name").split() == [
        f"paperjob.paperjobs.dev/{paperjob_name(QUEUE, '1')}"
    ]
    assert {(await bench.ended(name)).attempt for name in (first, second)} == {1, 2}


async def test_untrusted_data_reaches_the_run_unchanged_and_names_nothing(bench: Bench) -> None:
    paper = "$(HOME) $$(HOME) $ $$ \x1b[31m"
    task = replace(
        job(paperId=paper, echo=["PAPERJOBS_PAYLOAD", "PAPERJOBS_JOB_ID"]), id="a/../b $(PAPERJOBS_QUEUE) \x1b[31m ü"
    )
    await bench.launch(task)
    run = await bench.ended()
    assert run.outcome is not None
    assert run.outcome.result == {"PAPERJOBS_PAYLOAD": task.data, "PAPERJOBS_JOB_ID": task.id}
    assert run.job_id == task.id
    assert "\x1b" not in bench.kubectl("get", "paperjobs")
    assert await bench.cluster.paperjob_exists(QUEUE, task.id)


@pytest.mark.parametrize(
    ("exit_code", "report", "kind", "reason"),
    [
        # The runner's own verdicts.
        (65, {"errorType": "BadPayload", "message": "no such paper"}, OutcomeKind.NEVER, "BadPayload"),
        (69, {"retryAfterMs": 5000}, OutcomeKind.RATE_LIMITED, "RateLimited"),
        (75, {"errorType": "Timeout", "message": "slow"}, OutcomeKind.FAILED, "Timeout"),
        # A crash.
        (1, {}, OutcomeKind.FAILED, "Crashed"),
    ],
)
async def test_exit_codes_and_termination_messages_become_outcomes(
    bench: Bench, exit_code: int, report: dict[str, Any], kind: OutcomeKind, reason: str
) -> None:
    await bench.launch(job(exit=exit_code, report=report))
    outcome = (await bench.ended()).outcome
    assert outcome is not None
    assert (outcome.kind, outcome.reason) == (kind, reason)


async def test_a_run_out_of_memory_fails_and_says_so(bench: Bench, test_node: TestNode, namespace: str) -> None:
    await bench.launch(job(seconds=60))
    [container] = test_node.wait_until_running(namespace)
    test_node.oom_kill(container)
    outcome = (await bench.ended()).outcome
    assert outcome is not None
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "OOMKilled")


async def test_a_run_that_takes_too_long_is_ended_by_its_node_when_no_operator_does(bench: Bench) -> None:
    await bench.launch(job(seconds=60), replace(QUEUE, timeout_s=1, start_timeout_s=1))
    outcome = (await bench.ended()).outcome
    assert outcome is not None
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "DeadlineExceeded")
    assert "raise spec.timeout" in outcome.message


async def test_a_run_that_is_given_up_leaves_first_and_then_has_the_outcome_it_was_given(
    bench: Bench, test_node: TestNode, namespace: str
) -> None:
    name = await bench.launch(job(seconds=60))
    [container] = test_node.wait_until_running(namespace)
    given = Outcome(kind=OutcomeKind.FAILED, reason="DeadlineExceeded", message="it took too long")
    await bench.cluster.give_up(QUEUE, name, given)
    await bench.run_when(lambda run: run.phase is RunPhase.TERMINATING)
    run = await bench.ended()
    assert (run.outcome, container.exit_code) == (given, 143)
    await bench.cluster.give_up(QUEUE, name, given)
    await bench.cluster.give_up(QUEUE, "long-gone", given)


async def test_a_run_without_a_node_can_be_given_up(bench: Bench, test_node: TestNode, namespace: str) -> None:
    test_node.inject(Fault.UNSCHEDULABLE, namespace=namespace)
    name = await bench.launch(job())
    run = await bench.run_when(lambda run: run.waiting_for == "Unschedulable")
    assert run.limits == QUEUE.time_limits
    given = Outcome(kind=OutcomeKind.FAILED, reason="Unschedulable", message="no room")
    await bench.cluster.give_up(QUEUE, name, given)
    assert (await bench.ended()).outcome == given


async def test_an_evicted_run_is_a_disruption(bench: Bench, test_node: TestNode, namespace: str) -> None:
    await bench.launch(job(seconds=60))
    [container] = test_node.wait_until_running(namespace)
    test_node.evict(container)
    outcome = (await bench.ended()).outcome
    assert outcome is not None
    assert (outcome.kind, outcome.reason) == (OutcomeKind.DISRUPTED, "Disrupted")


async def test_a_lost_node_keeps_the_slot_until_its_pod_is_collected(
    bench: Bench, test_node: TestNode, namespace: str
) -> None:
    await bench.launch(job(seconds=60))
    [container] = test_node.wait_until_running(namespace)
    await bench.run_when(lambda run: run.phase is RunPhase.RUNNING)
    test_node.lose(container)
    await bench.run_when(lambda run: run.phase is RunPhase.TERMINATING)
    await asyncio.sleep(1)
    assert [run.phase for run in bench.cluster.runs(QUEUE)] == [RunPhase.TERMINATING]
    test_node.collect_lost(container)
    outcome = (await bench.ended()).outcome
    assert outcome is not None
    assert outcome.kind is OutcomeKind.DISRUPTED


async def test_a_pod_deleted_by_hand_is_a_disruption(bench: Bench, test_node: TestNode, namespace: str) -> None:
    await bench.launch(job(seconds=60))
    test_node.wait_until_running(namespace)
    bench.kubectl("delete", "pods", "--all", "--wait=false")
    outcome = (await bench.ended()).outcome
    assert outcome is not None
    assert outcome.kind is OutcomeKind.DISRUPTED


async def test_a_pending_run_says_what_it_waits_for(bench: Bench, test_node: TestNode, namespace: str) -> None:
    test_node.inject(Fault.IMAGE_PULL, namespace=namespace)
    await bench.launch(job())
    run = await bench.run_when(lambda run: bool(run.waiting_for))
    assert (run.phase, run.waiting_for) in [
        (RunPhase.PENDING, "ErrImagePull"),
        (RunPhase.PENDING, "ImagePullBackOff"),
    ]
    test_node.heal()
    await bench.ended()


async def test_a_removed_run_keeps_its_slot_until_its_pod_is_gone(
    bench: Bench, test_node: TestNode, namespace: str
) -> None:
    name = await bench.launch(job(seconds=60))
    [container] = test_node.wait_until_running(namespace)
    await bench.cluster.remove(QUEUE, name)
    await bench.no_runs()
    assert container.exit_code is not None
    assert not await bench.cluster.run_exists(QUEUE, name)
    await bench.cluster.remove(QUEUE, name)


async def test_a_job_deleted_by_hand_keeps_its_slot_until_its_pod_is_gone(
    bench: Bench, test_node: TestNode, namespace: str
) -> None:
    name = await bench.launch(job(seconds=60))
    [container] = test_node.wait_until_running(namespace)
    await bench.run_when(lambda run: run.phase is RunPhase.RUNNING)
    bench.kubectl("delete", "job", name, "--wait=false")
    assert {run.phase for run in await bench.no_runs()} <= {RunPhase.RUNNING, RunPhase.TERMINATING}
    assert container.exit_code is not None


async def test_the_servers_refusal_is_passed_on(bench: Bench) -> None:
    wrong = replace(QUEUE, template=replace(QUEUE.template, resources={"requests": {"cpu": "many"}}))
    with pytest.raises(LaunchRefused, match="quantities must match"):
        await bench.cluster.rehearse(wrong)
    with pytest.raises(LaunchRefused, match="quantities must match"):
        await bench.launch(job(), wrong)


async def test_a_quota_refuses_a_launch_with_the_servers_words(bench: Bench) -> None:
    bench.kubectl("create", "quota", "none", "--hard=count/jobs.batch=0")
    # What the quota controller, which does not run here, would write.
    counted = {"status": {"hard": {"count/jobs.batch": "0"}, "used": {"count/jobs.batch": "0"}}}
    bench.kubectl("patch", "quota", "none", "--subresource=status", "--type=merge", "-p", json.dumps(counted))
    with pytest.raises(LaunchRefused, match="exceeded quota"):
        await bench.cluster.rehearse(QUEUE)
    with pytest.raises(LaunchRefused, match="exceeded quota"):
        await bench.launch(job())
    bench.kubectl("delete", "quota", "none")
    await bench.cluster.rehearse(QUEUE)
    assert bench.kubectl("get", "jobs", "-o", "name") == ""


async def test_a_whole_life_is_five_writes(bench: Bench) -> None:
    await bench.launch(job())
    run = await bench.ended()
    [view] = bench.cluster.paperjobs(QUEUE)
    running = JobStatus(phase=JobPhase.RUNNING, job_id="1", attempt=1, run=run.name, started_at=run.started_at)
    await bench.cluster.show_job(QUEUE, view, running)
    await bench.cluster.show_job(QUEUE, view, running)
    [view] = bench.cluster.paperjobs(QUEUE)
    assert view.status == running
    ended = replace(running, phase=JobPhase.COMPLETED, reason="Completed", finished_at=run.ended_at, result={"n": 1})
    await bench.cluster.show_job(QUEUE, view, ended)
    bench.kubectl("wait", "--for=condition=Complete", "paperjobs", "--all", "--timeout=2s")
    [view] = bench.cluster.paperjobs(QUEUE)
    assert (view.status, view.finished_at) == (ended, run.ended_at)
    await bench.cluster.forget_job(QUEUE, view)
    await bench.no_runs()
    assert bench.writes == 5


async def test_a_paperjob_made_by_hand_owns_the_run_of_its_job(bench: Bench, namespace: str) -> None:
    body = {
        "apiVersion": "paperjobs.dev/v1alpha1",
        "kind": "PaperJob",
        "metadata": {"name": "mine"},
        "spec": {"queue": "institutions", "paperId": "9", "arxivUrl": "https://arxiv.org/abs/1706.03762"},
    }
    uid = (await bench.api.create(PAPERJOBS, body))["metadata"]["uid"]
    name = await bench.launch(replace(job(), id=f"pj-{uid}"))
    owners = json.loads(bench.kubectl("get", "job", name, "-o", "json"))["metadata"]["ownerReferences"]
    assert [(owner["name"], owner["uid"]) for owner in owners] == [("mine", uid)]
    assert bench.kubectl("get", "paperjobs", "-o", "name").split() == ["paperjob.paperjobs.dev/mine"]
    assert await bench.cluster.paperjob_exists(QUEUE, f"pj-{uid}")
    bench.kubectl("delete", "paperjob", "mine")
    assert not await bench.cluster.paperjob_exists(QUEUE, f"pj-{uid}")


async def test_a_cold_start_finds_the_runs_that_live_and_those_that_ended(
    bench: Bench, control_plane: ControlPlane, namespace: str, test_node: TestNode
) -> None:
    ended, living = await bench.launch(job(1)), await bench.launch(job(2, seconds=60))
    await bench.ended(ended)
    await bench.run_when(lambda run: run.phase is RunPhase.RUNNING, living)
    async with opened(control_plane, namespace) as other:
        assert sorted(other.cluster.runs(QUEUE), key=lambda run: run.job_id) == sorted(
            bench.cluster.runs(QUEUE), key=lambda run: run.job_id
        )
        assert len(other.cluster.paperjobs(QUEUE)) == 2
