"""The main job, whole and real: the web app's npm client, the operator as a process, a real API server, the real runner
against the stand-ins, PostgreSQL, and the result back at the npm client."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
import sqlalchemy

from paperjobs.seed import SEED_QUEUES
from paperjobs_standins.papers import sample_papers
from paperjobs_standins.server import Standins
from support.controlplane import ControlPlane
from support.operator_process import OperatorProcess, operator_processes, until
from support.testnode import RUNNER_IMAGE, TestNode
from support.tools import ROOT
from support.webapp import WebApp, WebAppError, web_app

QUEUE = "institution-extraction"
pytestmark = pytest.mark.usefixtures("redis_client", "test_node")


@pytest.fixture(scope="module")
def standins() -> Iterator[Standins]:
    """Every external service, on loopback."""
    with Standins() as running:
        yield running


@pytest.fixture
def kubectl(control_plane: ControlPlane, namespace: str) -> Callable[..., str]:
    """kubectl in the test's namespace, as an admin."""

    def call(*arguments: str, **options: Any) -> str:
        return control_plane.kubectl("-n", namespace, *arguments, **options)

    return call


@pytest.fixture
def services(
    kubectl: Callable[..., str], standins: Standins, valkey_port: int, postgres_url: str, tmp_path: Path
) -> dict[str, str]:
    """The Secret that crds/queues name, filled for the stand-ins; the database is migrated as in an installation."""
    env = {
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(valkey_port),
        "DATABASE_URL": postgres_url,
        **standins.env(),
    }
    literals = [f"--from-literal={name}={value}" for name, value in env.items()]
    kubectl("create", "secret", "generic", "paperjobs-services", *literals)
    return env


@pytest.fixture
def start(
    control_plane: ControlPlane,
    kubectl: Callable[..., str],
    namespace: str,
    services: dict[str, str],
    migrated: None,
    valkey_port: int,
    tmp_path: Path,
) -> Iterator[Callable[[], OperatorProcess]]:
    """Starts replicas that serve the four seed queues as crds/queues sets them, with a namespaced Role only."""
    control_plane.kubectl("apply", "-f", str(ROOT / "crds"))
    control_plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
    kubectl("apply", "-f", str(ROOT / "crds" / "rbac" / "operator.yaml"))
    kubectl("apply", "-f", str(ROOT / "crds" / "budgets"), "-f", str(ROOT / "crds" / "queues"))
    kubeconfig = control_plane.kubeconfig_of(namespace, "paperjobs-operator")
    with operator_processes(tmp_path, kubeconfig, valkey_port, RUNNER_IMAGE) as one_more:
        yield one_more


@pytest.fixture
def migrated(services: dict[str, str], postgres_url: str) -> None:
    """The database's tables."""
    subprocess.run(
        [str(ROOT / ".venv" / "bin" / "paperjobs-runner"), "db", "upgrade"],
        env={"PATH": os.environ["PATH"], "DATABASE_URL": postgres_url},
        check=True,
    )


@pytest.fixture
async def app(node: Path, webapp_dir: Path, valkey_port: int) -> AsyncIterator[WebApp]:
    """The web app's Node process."""
    async with web_app(node, webapp_dir, valkey_port) as running:
        yield running


def _paperjobs(kubectl: Callable[..., str]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(kubectl("get", "paperjobs", "-o", "json"))["items"]
    return items


async def _queue_paper(app: WebApp, paper_id: str, url: str) -> str:
    added = await app.ask("service", method="queueInstitutionExtraction", paperId=paper_id, arxivUrl=url)
    return str(added["jobId"])


async def test_a_paper_queued_by_the_web_app_ends_as_institutions_in_postgresql_and_a_result_in_queue_events(
    start: Callable[[], OperatorProcess], kubectl: Callable[..., str], app: WebApp, postgres_url: str
) -> None:
    replica = start()
    until(replica.ready)
    paper = next(paper for paper in sample_papers() if paper.arxiv_id == "1706.03762")

    job_id = await _queue_paper(app, "post-1", paper.abs_url)
    result = await app.ask("serviceWait", queue=QUEUE, jobId=job_id, timeoutMs=60_000)
    assert result["arxivId"] == "1706.03762"
    assert set(result["institutions"]) == set(paper.institutions)

    seen = await app.inspect(QUEUE, job_id)
    assert seen is not None
    assert (seen["state"], seen["attemptsMade"], seen["returnvalue"]) == ("completed", 1, result)
    assert seen["progress"]["percent"] == 100
    assert seen["logs"]

    until(lambda: _paperjobs(kubectl)[0].get("status", {}).get("phase") == "Completed")
    header, row = kubectl("get", "paperjobs").splitlines()
    assert header.split() == ["NAME", "QUEUE", "PAPER", "PHASE", "ATTEMPT", "PROGRESS", "REASON", "UNTIL", "AGE"]
    assert row.split()[1:5] == [QUEUE, "post-1", "Completed", "1"]
    assert "100%" in row
    kubectl("wait", "--for=condition=Complete", "paperjobs", "--all", "--timeout=5s")
    until(
        lambda: "0/2" in kubectl("get", "paperqueue", QUEUE) and "1/10 per 60s" in kubectl("get", "paperqueue", QUEUE)
    )

    engine = sqlalchemy.create_engine(postgres_url)
    with engine.connect() as connection:
        names = set(connection.execute(sqlalchemy.text("SELECT name FROM paperjobs.institutions")).scalars())
    engine.dispose()
    assert names == set(paper.institutions)


async def test_all_four_jobs_of_a_paper_end_as_what_the_web_app_reads_from_the_views(
    start: Callable[[], OperatorProcess], app: WebApp, standins: Standins, postgres_url: str
) -> None:
    until(start().ready)
    standins.clear()
    paper = next(paper for paper in sample_papers() if paper.arxiv_id == "1512.03385")
    queues = {queue.queue for queue in SEED_QUEUES}
    jobs = {queue: await app.add(queue, {"paperId": "post-4", "arxivUrl": paper.abs_url}) for queue in queues}
    results = {queue: await app.wait(queue, job_id, seconds=120) for queue, job_id in jobs.items()}
    assert {result["arxivId"] for result in results.values()} == {"1512.03385"}
    assert not [result for result in results.values() if "outcome" in result]

    engine = sqlalchemy.create_engine(postgres_url)

    def read(columns: str, view: str) -> list[Any]:
        query = f"SELECT {columns} FROM paperjobs.{view} WHERE paper_id = 'post-4'"
        return [tuple(row) for row in connection.execute(sqlalchemy.text(query))]

    with engine.connect() as connection:
        assert {pipeline for pipeline, _ in read("pipeline, outcome", "v_results")} == queues
        assert {family for (family,) in read("family", "v_authors")} == {"He", "Zhang", "Ren", "Sun"}
        assert {name for (name,) in read("name", "v_institutions")} == set(paper.institutions)
        ((summary, points),) = read("summary, key_points", "v_abstracts")
        assert summary
        assert points
        assert read("slug, confidence", "v_tags")
        assert ("cs.CV", True) in read("code, is_primary", "v_categories")
    engine.dispose()

    # One download and one extraction, whichever of the four came first.
    fetched = [request.target for request in standins.arxiv.requests if request.target.startswith("/pdf/")]
    assert len(fetched) == 1
    assert sum(request.target == "/operation/extractpdf" for request in standins.adobe.requests) == 1
    # Llm-processing tells Asana: one task.
    assert len(standins.asana.service.tasks) == 1


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param("https://arxiv.org.evil.example/abs/1706.03762", "arxivUrl", id="a look-alike host"),
        pytest.param("https://example.org/paper.pdf", "arxivUrl", id="not arXiv"),
        pytest.param("https://arxiv.org/abs/2401.99999", "2401.99999", id="a paper that arXiv does not know"),
    ],
)
async def test_what_can_never_work_fails_after_one_attempt_with_a_message_for_the_web_developer(
    start: Callable[[], OperatorProcess], kubectl: Callable[..., str], app: WebApp, url: str, says: str
) -> None:
    until(start().ready)
    job_id = await _queue_paper(app, "post-2", url)
    with pytest.raises(WebAppError, match=says):
        await app.wait(QUEUE, job_id, seconds=60)
    seen = await app.inspect(QUEUE, job_id)
    assert seen is not None
    assert (seen["state"], seen["attemptsMade"]) == ("failed", 1)
    assert says in seen["failedReason"]
    assert "Traceback" not in seen["failedReason"]
    until(lambda: _paperjobs(kubectl)[0].get("status", {}).get("phase") == "Failed")
    assert says in _paperjobs(kubectl)[0]["status"]["message"]


async def test_a_payload_that_lacks_a_field_fails_and_names_the_field(
    start: Callable[[], OperatorProcess], app: WebApp
) -> None:
    until(start().ready)
    job_id = await app.add(QUEUE, {"paper": 1}, attempts=3)
    with pytest.raises(WebAppError, match="paperId"):
        await app.wait(QUEUE, job_id, seconds=60)
    seen = await app.inspect(QUEUE, job_id)
    assert seen is not None
    assert seen["attemptsMade"] == 1


async def test_a_large_payload_reaches_the_runner_through_the_job_and_not_the_pod(
    start: Callable[[], OperatorProcess], app: WebApp, test_node: TestNode, namespace: str
) -> None:
    until(start().ready)
    data = {"paperId": "big", "arxivUrl": "https://arxiv.org/abs/1412.6980", "notes": "x" * 100_000}
    job_id = await app.add(QUEUE, data)
    result = await app.wait(QUEUE, job_id, seconds=60)
    assert result["arxivId"] == "1412.6980"
    (started,) = test_node.started_in(namespace)
    assert "PAPERJOBS_PAYLOAD" not in started.variables


async def test_killing_the_operator_between_claim_and_job_leaves_one_run(
    start: Callable[[], OperatorProcess],
    control_plane: ControlPlane,
    kubectl: Callable[..., str],
    app: WebApp,
    redis_client: redis.asyncio.Redis,
    test_node: TestNode,
    namespace: str,
) -> None:
    first = start()
    until(first.ready)
    # Its first tick asks the API server whether it takes the queue's runs.
    until(lambda: "Idle" in kubectl("get", "paperqueue", QUEUE))
    # A stopped API server holds the operator exactly there: the job is claimed, its PaperJob and Job are not created.
    with control_plane.frozen_api_server():
        job_id = await _queue_paper(app, "post-3", "https://arxiv.org/abs/1412.6980")
        deadline = time.monotonic() + 10
        while not await redis_client.llen(f"bull:{QUEUE}:active"):
            assert time.monotonic() < deadline, "the job is never claimed"
            await asyncio.sleep(0.01)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
    assert await redis_client.hget(f"bull:{QUEUE}:{job_id}", "pjl") is None

    start()
    result = await app.wait(QUEUE, job_id, seconds=60)
    assert result["arxivId"] == "1412.6980"
    assert len(test_node.started_in(namespace)) == 1
    seen = await app.inspect(QUEUE, job_id)
    assert seen is not None
    assert (seen["attemptsMade"], seen["attemptsStarted"]) == (1, 1)
