"""Which PaperJob a run belongs to: the one that shows its job, whoever made it and whatever it said before."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest

from paperjobs.errors import ClusterUnavailable, LaunchRefused, PaperJobDeleted
from paperjobs.kube.api import PAPERJOBS as KIND
from paperjobs.kube.api import Api
from paperjobs.kube.cluster import KubernetesCluster
from paperjobs.kube.objects import Objects
from paperjobs.kube.runcache import RunCache
from paperjobs.kube.statuswriter import StatusWriter
from paperjobs.model import Claim, Job, JobPhase, JobStatus, QueueSettings, paperjob_name, run_name
from support.fake_kube import FakeKube

QUEUE = QueueSettings(name="older", queue="q", pipeline="p", concurrency=1)
JOBS = "/apis/batch/v1/namespaces/test/jobs"
PAPERJOBS = "/apis/paperjobs.dev/v1alpha1/namespaces/test/paperjobs"
UID = "5c0c2c9e-0000-4000-8000-000000000001"


def job(job_id: str = "17", claim: int = 1, paper: str = "42") -> Job:
    data = json.dumps({"paperId": paper})
    return Job(id=job_id, name="n", claim=Claim(number=claim, token=f"t{claim}"), attempts_made=0, data=data)


@dataclass
class Bench:
    """The adapter on the fake API server."""

    kube: FakeKube
    cluster: KubernetesCluster
    objects: Objects

    async def launch(self, task: Job, queue: QueueSettings = QUEUE) -> str:
        """Launch; returns the uid of the PaperJob that owns the run."""
        name = run_name(queue, task.id, task.claim)
        await self.cluster.launch(queue, task, name)
        [owner] = self.kube.objects[f"{JOBS}/{name}"]["metadata"]["ownerReferences"]
        return str(owner["uid"])

    async def end(self, queue: QueueSettings = QUEUE) -> None:
        [view] = self.cluster.paperjobs(queue)
        ended = JobStatus(phase=JobPhase.FAILED, job_id="17", reason="Crashed", message="so", finished_at=1000)
        await self.cluster.show_job(queue, view, ended)

    @property
    def shown(self) -> dict[str, Any]:
        return self.kube.objects[f"{PAPERJOBS}/{paperjob_name(QUEUE, '17')}"]

    def requested(self, since: int) -> list[str]:
        return [f"{method} {path.rsplit('/', 1)[-1]}" for method, path in self.kube.requests[since:]]


@pytest.fixture
async def bench(kube: FakeKube, api: Api) -> Bench:
    objects = Objects(lambda *_: None)
    runs = RunCache(api, changed=lambda _: None, regained=lambda: None, resync_seconds=300)

    async def write(*_: Any) -> bool:
        raise AssertionError("nothing of this writes later")

    cluster = KubernetesCluster(api=api, objects=objects, runs=runs, statuses=StatusWriter(write), now=lambda: 2000)
    return Bench(kube, cluster, objects)


async def test_a_job_that_is_retried_by_hand_keeps_its_paperjob(bench: Bench) -> None:
    first = await bench.launch(job())
    await bench.end()
    assert bench.shown["status"]["phase"] == "Failed"
    assert await bench.launch(job(claim=2)) == first


async def test_another_job_under_the_same_id_gets_a_paperjob_of_its_own(bench: Bench) -> None:
    first = await bench.launch(job())
    await bench.end()
    assert await bench.launch(job(claim=2, paper="43")) != first
    assert bench.shown["spec"]["paperId"] == "43"
    assert bench.shown.get("status") is None
    [view] = bench.cluster.paperjobs(QUEUE)
    assert view.status is None


async def test_a_payload_that_changes_between_two_attempts_changes_no_paperjob(bench: Bench) -> None:
    assert await bench.launch(job()) == await bench.launch(job(claim=2, paper="43"))


async def test_a_paperjob_that_memory_does_not_know_is_found_by_its_name(bench: Bench) -> None:
    first = await bench.launch(job())
    await bench.end()
    bench.objects.saw(KIND, bench.shown, deleted=True)
    assert await bench.launch(job(claim=2)) == first


async def test_a_paperjob_that_is_just_being_deleted_is_waited_for(bench: Bench) -> None:
    await bench.launch(job())
    path = f"{PAPERJOBS}/{paperjob_name(QUEUE, '17')}"
    going = await bench.kube.put(
        path, {**bench.shown, "metadata": {**bench.shown["metadata"], "deletionTimestamp": "now"}}
    )
    bench.objects.saw(KIND, going)
    assert not await bench.cluster.paperjob_exists(QUEUE, "17")
    with pytest.raises(ClusterUnavailable, match="just being deleted"):
        await bench.launch(job(claim=2))


async def test_a_persons_object_under_the_name_of_a_jobs_paperjob_is_never_taken_for_it(bench: Bench) -> None:
    name = paperjob_name(QUEUE, "17")
    body = await bench.kube.put(f"{PAPERJOBS}/{name}", {"metadata": {"name": name}, "spec": {"queue": "older"}})
    bench.objects.saw(KIND, body)
    assert not await bench.cluster.paperjob_exists(QUEUE, "17")
    with pytest.raises(LaunchRefused, match="shows another job; delete it"):
        await bench.launch(job())


async def test_a_job_made_by_hand_whose_paperjob_is_gone_is_not_launched(bench: Bench) -> None:
    with pytest.raises(PaperJobDeleted):
        await bench.launch(job(f"pj-{UID}"))
    assert [path for path in bench.kube.objects if path.startswith(JOBS)] == []


async def test_a_job_made_by_hand_belongs_to_its_paperjob_even_when_another_paperqueue_runs_it(bench: Bench) -> None:
    body = {"metadata": {"name": "mine", "uid": UID}, "spec": {"queue": "older", "paperId": "42"}}
    await bench.kube.put(f"{PAPERJOBS}/mine", body)
    newer = replace(QUEUE, name="newer")
    assert await bench.launch(job(f"pj-{UID}"), newer) == UID
    assert await bench.cluster.paperjob_exists(newer, f"pj-{UID}")
    await bench.kube.remove(f"{PAPERJOBS}/mine")
    assert not await bench.cluster.paperjob_exists(newer, f"pj-{UID}")


async def test_a_paperqueue_that_takes_over_knows_the_runs_and_paperjobs_of_the_one_before(bench: Bench) -> None:
    uid = await bench.launch(job())
    newer = replace(QUEUE, name="newer")
    [view] = bench.cluster.paperjobs(newer)
    assert view == bench.cluster.paperjobs(QUEUE)[0]
    assert await bench.cluster.paperjob_exists(newer, "17")
    assert await bench.launch(job(), newer) == uid
    assert bench.cluster.paperjobs(replace(QUEUE, prefix="app")) == []


async def test_a_job_of_the_web_app_is_looked_up_by_name_and_nothing_is_listed(bench: Bench) -> None:
    since = len(bench.kube.requests)
    await bench.launch(job())
    await bench.cluster.paperjob_exists(QUEUE, "17")
    assert bench.requested(since) == ["POST paperjobs", "POST jobs", f"GET {paperjob_name(QUEUE, '17')}"]


async def test_a_paperjob_is_read_once_for_each_of_its_versions(bench: Bench) -> None:
    await bench.launch(job())
    [first], [again] = bench.cluster.paperjobs(QUEUE), bench.cluster.paperjobs(QUEUE)
    assert first is again
    await bench.end()
    [ended] = bench.cluster.paperjobs(QUEUE)
    assert ended.status is not None
    assert ended.status.reason == "Crashed"


async def test_a_paperjob_of_an_earlier_life_that_is_gone_by_now_owns_no_run(bench: Bench) -> None:
    first = await bench.launch(job())
    await bench.end()
    await bench.kube.remove(f"{PAPERJOBS}/{paperjob_name(QUEUE, '17')}", silently=True)
    second = await bench.launch(job(claim=2))
    assert second == bench.shown["metadata"]["uid"] != first


async def test_a_paperjob_is_forgotten_by_its_uid(bench: Bench, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = await bench.launch(job())
    deleted: list[tuple[object, ...]] = []

    async def delete(kind: object, name: str, propagation: str = "Background", *, uid: str = "") -> None:
        deleted.append((name, uid))

    monkeypatch.setattr(api, "delete", delete)
    [view] = bench.cluster.paperjobs(QUEUE)
    await bench.cluster.forget_job(QUEUE, view)
    assert deleted == [(paperjob_name(QUEUE, "17"), uid)]


async def test_a_paperjob_made_by_hand_stays_with_the_queue_whose_run_works_on_it(bench: Bench) -> None:
    body = {"metadata": {"name": "mine", "uid": UID}, "spec": {"queue": "older", "paperId": "42"}}
    bench.objects.saw(KIND, await bench.kube.put(f"{PAPERJOBS}/mine", body))
    newer = replace(QUEUE, name="newer")
    assert bench.cluster.paperjobs(newer) == []
    await bench.launch(job(f"pj-{UID}"), newer)
    [view] = bench.cluster.paperjobs(newer)
    assert (view.name, view.job_id) == ("mine", f"pj-{UID}")
    assert len(bench.cluster.paperjobs(QUEUE)) == 1
    assert bench.cluster.paperjobs(replace(QUEUE, prefix="app")) == []


@pytest.mark.parametrize("data", ["[" * 20_000 + "]" * 20_000, '{"a":' * 3_000 + "1" + "}" * 3_000, "not JSON", "7"])
async def test_a_payload_of_any_form_is_launched_and_shown_as_far_as_it_goes(bench: Bench, data: str) -> None:
    await bench.launch(replace(job(), data=data))
    assert "paperId" not in bench.shown["spec"]


async def test_a_run_that_fills_its_own_quota_is_adopted_when_the_answer_to_its_launch_was_lost(bench: Bench) -> None:
    owner = await bench.launch(job())
    refuse = (403, {"message": "exceeded quota: count/jobs.batch=1", "reason": "Forbidden"})
    bench.kube.answers["POST"] = refuse
    assert await bench.launch(job()) == owner
    with pytest.raises(LaunchRefused, match="exceeded quota"):
        await bench.launch(job("18"))
