"""What every pipeline writes to its log and the BullMQ job, and what it draws on the budgets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from paperjobs_runner.contract import ExitCode
from paperjobs_runner.pipelines import PIPELINES
from support.pipeline_runs import surrounded
from support.runner_process import run

pytestmark = pytest.mark.usefixtures("redis_client")

BUDGETS = json.dumps({name: {"max": 1000, "perMs": 60_000} for name in ("arxiv", "adobe", "anthropic", "asana")})


def drawn(client: Redis, budget: str) -> int:
    count: Any = client.zcard(f"{{paperjobs}}:budget:{budget}:calls")
    return int(count)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_each_line_says_whose_it_is_and_each_call_is_drawn(
    pipeline: str, new_database: Path, tmp_path: Path, valkey_port: int
) -> None:
    with (
        surrounded(pipeline, new_database, tmp_path / "run") as one,
        Redis(host="127.0.0.1", port=valkey_port, decode_responses=True) as client,
    ):
        key = f"bull:{pipeline}:7"
        client.hset(key, mapping={"data": "{}", "opts": "{}", "ats": "1"})
        env = one.env | {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(valkey_port), "PAPERJOBS_BUDGETS": BUDGETS}
        ended = run(env)
        assert ended.code == ExitCode.DONE, ended.output
        lines = [json.loads(line) for line in ended.output.splitlines()]
        assert len(lines) > 2
        for line in lines:
            assert (line["queue"], line["job"], line["attempt"]) == (pipeline, "7", 1)
            assert line["step"]
            assert (line["paper"], line["arxivId"]) == ("p-1", "1706.03762")
        told: Any = client.lrange(f"{key}:logs", 0, -1)
        assert told == [line["message"] for line in lines if line["message"] in told]
        assert drawn(client, "arxiv") == one.calls("arxiv") > 0
        assert drawn(client, "anthropic") == one.calls("anthropic") > 0
        assert drawn(client, "adobe") == one.calls("adobe", "/operation/extractpdf", "POST")
        assert drawn(client, "asana") == one.calls("asana")


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_failure_is_the_last_line_of_the_jobs_log_and_retries_stand_before_it(
    pipeline: str, new_database: Path, tmp_path: Path, valkey_port: int
) -> None:
    with (
        surrounded(pipeline, new_database, tmp_path / "run") as one,
        Redis(host="127.0.0.1", port=valkey_port, decode_responses=True) as client,
    ):
        key = f"bull:{pipeline}:7"
        client.hset(key, mapping={"data": "{}", "opts": "{}", "ats": "1"})
        one.standins.arxiv.fault("reset", path="/api/query")
        one.standins.anthropic.fault("status", status=401, times=None)
        ended = run(one.env | {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(valkey_port)})
        assert ended.code == ExitCode.TRY_AGAIN, ended.output
        assert ended.report is not None
        told: Any = client.lrange(f"{key}:logs", 0, -1)
        assert told[-1] == f"failed: {ended.report.message}"
        assert told[0].startswith("warning: arXiv cannot be reached")
