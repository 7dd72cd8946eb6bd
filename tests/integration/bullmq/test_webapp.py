"""The web app's service and the driver themselves: what the other tests stand on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from paperjobs.bullmq.jobqueue import BullmqJobQueue
from paperjobs.model import Outcome, OutcomeKind
from support.claims import take
from support.webapp import WebApp, WebAppError, web_app


async def test_service_queues_a_paper_with_three_attempts_and_exponential_backoff(web: WebApp) -> None:
    methods = {
        "queueInstitutionExtraction": "institution-extraction",
        "queueAuthorExtraction": "author-extraction",
        "queueLlmProcessing": "llm-processing",
        "queueAutoTagging": "auto-tagging",
    }
    for method, queue in methods.items():
        made = await web.ask("service", method=method, paperId="p1", arxivUrl="https://arxiv.org/abs/1706.03762")

        assert made["queue"] == queue
        job = await web.inspect(queue, made["jobId"])
        assert job is not None
        assert job["name"] == queue
        assert job["data"] == {"paperId": "p1", "arxivUrl": "https://arxiv.org/abs/1706.03762"}
        assert job["state"] == "waiting"
        assert job["opts"]["attempts"] == 3
        assert job["opts"]["backoff"] == {"type": "exponential", "delay": 5000}


async def test_service_queues_a_paper_once_while_it_waits(web: WebApp) -> None:
    paper = {"method": "queueAutoTagging", "arxivUrl": "https://arxiv.org/abs/1706.03762"}

    first = await web.ask("service", paperId="p1", **paper)
    again = await web.ask("service", paperId="p1", **paper)
    other = await web.ask("service", paperId="p2", **paper)

    assert again == first
    assert other != first
    assert (await web.ask("counts", queue="auto-tagging"))["waiting"] == 2


async def test_service_tells_the_result_and_the_last_failure(
    web: WebApp, adapters: Callable[..., BullmqJobQueue]
) -> None:
    queue = adapters("author-extraction")
    paper = {"method": "queueAuthorExtraction", "arxivUrl": "https://arxiv.org/abs/1706.03762"}
    for paper_id, ended in (
        ("known", Outcome(kind=OutcomeKind.COMPLETED, reason="Completed", result={"authors": 8})),
        ("unknown", Outcome(kind=OutcomeKind.NEVER, reason="UnknownPaper", message="arXiv does not know this paper")),
    ):
        made = await web.ask("service", paperId=paper_id, **paper)
        job = await take(queue, 30_000)
        assert job is not None
        assert json.loads(job.data) == {"paperId": paper_id, "arxivUrl": "https://arxiv.org/abs/1706.03762"}
        answer = asyncio.create_task(web.ask("serviceWait", timeoutMs=10_000, **made))
        await asyncio.sleep(0.1)
        assert not answer.done()

        assert await queue.finish(job.id, job.claim, ended)

        if ended.kind is OutcomeKind.COMPLETED:
            assert await answer == {"authors": 8}
        else:
            with pytest.raises(WebAppError, match="arXiv does not know this paper"):
                await answer


async def test_driver_rejects_what_it_does_not_know(web: WebApp) -> None:
    with pytest.raises(WebAppError, match="unknown command nonsense"):
        await web.ask("nonsense")
    with pytest.raises(WebAppError, match="has no job 7"):
        await web.wait("q", "7")


async def test_driver_that_ended_answers_with_an_error(
    redis_client: Redis, node: Path, webapp_dir: Path, valkey_port: int
) -> None:
    async with web_app(node, webapp_dir, valkey_port) as app:
        await app.add("q", {"paperId": "p1"})
        await app.close()
        with pytest.raises(WebAppError, match="has ended"):
            await app.add("q")


@pytest.mark.parametrize("version", [5, 6])
async def test_stock_worker_runs_what_the_client_queued(
    redis_client: Redis, node: Path, webapp_dir: Path, valkey_port: int, version: int
) -> None:
    async with web_app(node, webapp_dir, valkey_port, bullmq=version) as app:
        job_id = await app.add("q", {"steps": [{"then": "complete", "result": {"institutions": 3}}]})
        await app.ask("startWorker", queue="q")

        assert await app.wait("q", job_id) == {"institutions": 3}
        assert await app.ask("stopWorker", queue="q") == {"runs": [job_id], "errors": []}
        told = [event["event"] for event in await app.events("q")]
        assert told == ["added", "waiting", "active", "completed", "drained"]
