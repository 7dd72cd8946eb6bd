"""`paperjobs operator` as processes, a real API server, a real Valkey: who acts, what is shown, how it stops."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis.asyncio
from bullmq import Job, Queue

from paperjobs.bullmq.connection import open_client
from paperjobs.settings import RedisSettings
from support.controlplane import ControlPlane
from support.objects import Kubectl, add, paperjob, paperqueue, phases
from support.operator_process import Start, until
from support.testnode import TestNode

pytestmark = pytest.mark.usefixtures("redis_client", "test_node")


async def test_a_job_of_the_web_app_runs_and_is_shown_to_its_end(
    start: Start, kubectl: Kubectl, valkey_port: int
) -> None:
    replica = start()
    kubectl("apply", "-f", "-", stdin=paperqueue(rateLimit={"max": 10, "per": "60s"}))
    until(replica.ready)
    payload = {"paperId": "42", "arxivUrl": "https://arxiv.org/abs/1706.03762", "report": {"result": {"n": 3}}}
    [job_id] = await add(valkey_port, payload)
    until(lambda: phases(kubectl) == ["Completed"])
    header, row = kubectl("get", "paperjobs").splitlines()
    assert header.split() == ["NAME", "QUEUE", "PAPER", "PHASE", "ATTEMPT", "PROGRESS", "REASON", "UNTIL", "AGE"]
    assert row.split()[1:4] == ["institutions", "42", "Completed"]
    until(lambda: kubectl("get", "paperqueues", "--no-headers").split()[2:6] == ["0/2", "1/10", "per", "60s"])

    launched, settled = replica.wait_for("launched"), replica.wait_for("settled")
    for line in (launched, settled):
        assert (line["queue"], line["job"], line["attempt"]) == ("institution-extraction", job_id, 1)
        assert line["run"].startswith("institution-extraction-")
    assert all({"queue", "job", "run", "attempt"} <= line.keys() for line in replica.lines())

    everything = kubectl("get", "paperjobs,pq,jobs", "-o", "json", "--show-managed-fields")
    assert "kopf" not in everything
    assert "finalizers" not in everything

    code, metrics = replica.get("/metrics")
    writes = re.findall(
        r'api_requests_total{code="20.",resource="(?:paper)?jobs",verb="(?:p|d)[a-z]+"} ([0-9])', metrics
    )
    assert 3 <= sum(map(int, writes)) <= 4  # PaperJob, Job, perhaps "running", "ended"; its deletion would be the fifth
    assert code == 200
    names = 'paperqueue="institutions",queue="institution-extraction"'
    assert f'paperjobs_runs_settled_total{{outcome="completed",{names},reason="Completed"}} 1.0' in metrics
    assert "paperjobs_leading 1.0" in metrics
    assert replica.get("/livez") == (200, "ok\n")


async def test_a_paperjob_made_with_kubectl_runs_like_any_other(start: Start, kubectl: Kubectl) -> None:
    replica = start()
    kubectl("apply", "-f", "-", stdin=paperqueue())
    until(replica.ready)
    kubectl("create", "-f", "-", stdin=paperjob("mine"))
    kubectl("wait", "--for=condition=Complete", "paperjob/mine", "--timeout=20s")


async def test_a_graceful_stop_hands_over_within_two_seconds(start: Start, kubectl: Kubectl) -> None:
    first = start()
    kubectl("apply", "-f", "-", stdin=paperqueue())
    first.wait_for("lead")
    second = start()
    until(second.ready)
    assert "lead" not in second.actions()
    asked_at = time.monotonic()
    assert first.stop() == 0
    stopped_after = time.monotonic() - asked_at
    second.wait_for("lead")
    assert stopped_after < 2
    assert time.monotonic() - asked_at < 3.5
    assert second.stop(signal.SIGINT) == 0


async def test_a_killed_leader_is_replaced_within_fifteen_seconds_and_its_run_is_settled_once(
    start: Start,
    kubectl: Kubectl,
    valkey_port: int,
    test_node: TestNode,
    namespace: str,
) -> None:
    first = start()
    kubectl("apply", "-f", "-", stdin=paperqueue())
    first.wait_for("lead")
    second = start()
    until(second.ready)
    await add(valkey_port, {"seconds": 3}, {"paperId": "2"})
    test_node.wait_until_running(namespace)
    first.process.kill()
    killed_at = time.monotonic()
    second.wait_for("lead")
    assert time.monotonic() - killed_at < 15
    until(lambda: phases(kubectl) == ["Completed", "Completed"])
    assert len(test_node.started_in(namespace)) == 2


async def test_of_two_paperqueues_for_one_queue_the_younger_says_conflict(start: Start, kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=paperqueue("older"))
    await asyncio.sleep(1.1)  # creation times have whole seconds
    kubectl("apply", "-f", "-", stdin=paperqueue("newer", concurrency=9))
    replica = start()
    kubectl("wait", "--for=condition=Ready", "pq/older", "--timeout=20s")
    kubectl("wait", "--for=jsonpath={.status.reason}=Conflict", "pq/newer", "--timeout=20s")
    status = json.loads(kubectl("get", "pq", "newer", "-o", "json"))["status"]
    assert "PaperQueue older is older and serves queue 'institution-extraction'" in status["message"]
    kubectl("delete", "pq", "older")
    kubectl("wait", "--for=condition=Ready", "pq/newer", "--timeout=20s")
    until(lambda: kubectl("get", "paperqueues", "--no-headers").split()[2] == "0/9")
    assert replica.process.poll() is None


async def test_a_younger_paperqueue_takes_over_the_run_of_the_older_one(
    start: Start,
    kubectl: Kubectl,
    valkey_port: int,
    redis_client: redis.asyncio.Redis,
    test_node: TestNode,
    namespace: str,
) -> None:
    kubectl("apply", "-f", "-", stdin=paperqueue("older"))
    await asyncio.sleep(1.1)  # creation times have whole seconds
    kubectl("apply", "-f", "-", stdin=paperqueue("newer"))
    replica = start()
    kubectl("wait", "--for=jsonpath={.status.reason}=Conflict", "pq/newer", "--timeout=20s")
    [job_id] = await add(valkey_port, {"paperId": "42", "seconds": 4, "report": {"result": {"n": 3}}})
    test_node.wait_until_running(namespace)
    until(lambda: phases(kubectl) == ["Running"])
    kubectl("delete", "pq", "older")
    kubectl("wait", "--for=condition=Ready", "pq/newer", "--timeout=20s")
    until(lambda: kubectl("get", "pq", "newer", "--no-headers").split()[2] == "1/2")
    until(lambda: phases(kubectl) == ["Completed"])
    launched, settled = replica.wait_for("launched"), replica.wait_for("settled")
    assert (launched["paperqueue"], settled["paperqueue"]) == ("older", "newer")
    assert launched["run"] == settled["run"]
    assert (launched["job"], replica.actions().count("launched"), replica.actions().count("settled")) == (job_id, 1, 1)
    assert len(test_node.started_in(namespace)) == 1
    assert await redis_client.zcard("bull:institution-extraction:completed") == 1
    assert not await redis_client.hexists(f"bull:institution-extraction:{job_id}", "failedReason")


async def test_a_persons_paperjob_that_names_a_job_is_told_to_leave_it_out(start: Start, kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=paperqueue())
    until(start().ready)
    body = json.loads(paperjob("mine"))
    body["spec"]["jobId"] = "17"
    kubectl("create", "-f", "-", stdin=json.dumps(body))
    kubectl("wait", "--for=condition=Failed", "pj/mine", "--timeout=20s")
    status = json.loads(kubectl("get", "pj", "mine", "-o", "json"))["status"]
    assert status["reason"] == "WrongSpec"
    assert "leave out spec.jobId" in status["message"]


async def test_a_job_that_is_retried_by_hand_runs_again_under_its_paperjob(
    start: Start, kubectl: Kubectl, valkey_port: int
) -> None:
    kubectl("apply", "-f", "-", stdin=paperqueue())
    replica = start()
    until(replica.ready)
    [job_id] = await add(valkey_port, {"paperId": "42", "exit": 65})
    until(lambda: phases(kubectl) == ["Failed"])
    uid = kubectl("get", "pj", "-o", "jsonpath={.items[0].metadata.uid}")
    async with open_client(RedisSettings(host="127.0.0.1", port=valkey_port)) as client:
        queue = Queue("institution-extraction", {"connection": client})
        job = await Job.fromId(queue, job_id)
        assert job is not None
        await job.retry("failed")
    until(lambda: replica.actions().count("settled") == 2)
    until(lambda: phases(kubectl) == ["Failed"])
    assert kubectl("get", "pj", "-o", "jsonpath={.items[*].metadata.uid}") == uid
    assert kubectl("get", "pj", "-o", "jsonpath={.items[0].status.run}") == replica.wait_for("settled")["run"]


async def test_edited_limits_hold_at_once(
    start: Start,
    kubectl: Kubectl,
    valkey_port: int,
    test_node: TestNode,
    namespace: str,
) -> None:
    replica = start()
    kubectl("apply", "-f", "-", stdin=paperqueue(suspend=True))
    until(replica.ready)
    await add(valkey_port, {})
    until(lambda: "Suspended" in kubectl("get", "paperqueues"))
    assert test_node.started_in(namespace) == []
    kubectl("patch", "pq", "institutions", "--type=merge", "-p", '{"spec": {"suspend": false}}')
    until(lambda: phases(kubectl) == ["Completed"])


async def test_deleting_a_paperjob_cancels_its_run_and_frees_its_slot(
    start: Start,
    kubectl: Kubectl,
    valkey_port: int,
    redis_client: redis.asyncio.Redis,
    test_node: TestNode,
    namespace: str,
) -> None:
    kubectl("apply", "-f", "-", stdin=paperqueue(concurrency=1))
    until(start().ready)
    first, second = await add(valkey_port, {"paperId": "1", "seconds": 120}, {"paperId": "2"})
    test_node.wait_until_running(namespace)
    until(lambda: phases(kubectl) == ["Running"])
    kubectl("delete", "paperjobs", "--all")
    until(lambda: phases(kubectl) == ["Completed"], 40)
    assert "cancelled" in str(await redis_client.hget(f"bull:institution-extraction:{first}", "failedReason"))
    assert await redis_client.zscore("bull:institution-extraction:failed", first) is not None
    assert await redis_client.zscore("bull:institution-extraction:completed", second) is not None
    assert test_node.running(namespace) == []


async def test_the_operator_survives_an_api_server_that_is_away(
    start: Start, kubectl: Kubectl, valkey_port: int, control_plane: ControlPlane
) -> None:
    replica = start()
    kubectl("apply", "-f", "-", stdin=paperqueue())
    until(replica.ready)
    control_plane.stop_api_server()
    until(lambda: not replica.ready())
    await add(valkey_port, {"paperId": "7"})
    await asyncio.sleep(8)  # long enough to lose the lease
    assert replica.get("/livez")[0] == 200
    control_plane.start_api_server()
    replica.wait_for("launched", 10)
    until(lambda: phases(kubectl) == ["Completed"], 60)  # the Job controller itself takes its time to come back
    assert replica.process.poll() is None


def test_wrong_settings_are_all_listed_at_start(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "REDIS_PORT": "x", "PAPERJOBS_LEASE_SECONDS": "0"}
    answer = subprocess.run(
        [sys.executable, "-c", "import sys; from paperjobs.cli import main; sys.exit(main())", "operator"],
        env=env,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 2
    for name in ("REDIS_HOST", "REDIS_PORT", "PAPERJOBS_LEASE_SECONDS"):
        assert name in answer.stderr
    assert "Traceback" not in answer.stderr


async def test_deleting_a_paperjob_that_waits_cancels_its_job(
    start: Start,
    kubectl: Kubectl,
    valkey_port: int,
    test_node: TestNode,
    namespace: str,
) -> None:
    replica = start()
    kubectl("apply", "-f", "-", stdin=paperqueue(suspend=True))
    until(replica.ready)
    kubectl("create", "-f", "-", stdin=paperjob("mine"))
    kubectl("wait", "--for=jsonpath={.status.reason}=Suspended", "pj/mine", "--timeout=20s")
    uid = kubectl("get", "pj", "mine", "-o", "jsonpath={.metadata.uid}")
    kubectl("delete", "pj", "mine")
    kubectl("patch", "pq", "institutions", "--type=merge", "-p", '{"spec": {"suspend": false}}')
    async with open_client(RedisSettings(host="127.0.0.1", port=valkey_port)) as client:
        job = f"bull:institution-extraction:pj-{uid}"
        async with asyncio.timeout(20):
            while not await client.hexists(job, "failedReason"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert await client.hget(job, "failedReason") == "cancelled: the job's PaperJob was deleted"
    assert test_node.started_in(namespace) == []


async def test_a_paperjob_for_a_queue_that_nobody_serves_says_so(start: Start, kubectl: Kubectl) -> None:
    start()
    kubectl("create", "-f", "-", stdin=paperjob("lost"))
    kubectl("wait", "--for=jsonpath={.status.reason}=NoQueue", "pj/lost", "--timeout=20s")
    kubectl("apply", "-f", "-", stdin=paperqueue())
    kubectl("wait", "--for=condition=Complete", "pj/lost", "--timeout=20s")
