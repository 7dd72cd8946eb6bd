"""Whole runs of queues that share budgets: what each call draws, and what one service's 429 means for all of them."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from paperjobs_runner.contract import ExitCode
from paperjobs_standins.server import Standins
from support.runner_process import end_of, environment, run, start

pytestmark = pytest.mark.usefixtures("redis_client")

PLENTY = {"max": 1_000, "perMs": 60_000}

MakeEnv = Callable[..., dict[str, str]]


@pytest.fixture
def valkey(valkey_port: int) -> Iterator[Redis]:
    with Redis(host="127.0.0.1", port=valkey_port, decode_responses=True) as client:
        yield client


@pytest.fixture
def make_env(standins: Standins, new_database: Path, tmp_path: Path, valkey_port: int) -> MakeEnv:
    """The environment of a run of a queue about a paper, with budgets."""

    def make(queue: str, paper: str, **budgets: dict[str, int]) -> dict[str, str]:
        folder = tmp_path / queue
        folder.mkdir()
        return environment(standins, new_database, folder) | {
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(valkey_port),
            "PAPERJOBS_QUEUE": queue,
            "PAPERJOBS_RUN": f"{queue}-run",
            "PAPERJOBS_PAYLOAD": json.dumps({"paperId": paper, "arxivUrl": f"https://arxiv.org/abs/{paper}"}),
            "PAPERJOBS_BUDGETS": json.dumps(budgets or {"arxiv": PLENTY}),
        }

    return make


def calls(valkey: Redis, budget: str) -> list[int]:
    """The instants of all calls, by the server's clock."""
    made: Any = valkey.zrange(f"{{paperjobs}}:budget:{budget}:calls", 0, -1, withscores=True)
    return [int(at) for _, at in made]


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def test_a_run_draws_once_for_each_request_to_arxiv_each_document_for_adobe_and_each_question_to_claude(
    make_env: MakeEnv, standins: Standins, valkey: Redis
) -> None:
    standins.arxiv.fault("empty", times=1)  # asked again, and drawn again
    ended = run(make_env("papers", "1512.03385", arxiv=PLENTY, adobe=PLENTY, anthropic=PLENTY, asana=PLENTY))
    assert ended.code == ExitCode.DONE, ended.output
    assert len(calls(valkey, "arxiv")) == len(standins.arxiv.requests) == 3
    assert len(calls(valkey, "adobe")) == 1
    assert len(calls(valkey, "anthropic")) == len(standins.anthropic.requests) == 1
    assert calls(valkey, "asana") == []


def test_two_queues_keep_arxivs_interval_together(make_env: MakeEnv, standins: Standins, valkey: Redis) -> None:
    arxiv = {"max": 1, "perMs": 700}
    envs = [make_env("one", "1412.6980", arxiv=arxiv), make_env("two", "1810.04805", arxiv=arxiv)]
    for env, process in [(env, start(env)) for env in envs]:
        ended = end_of(env, process)
        assert ended.code == ExitCode.DONE, ended.output
    made = calls(valkey, "arxiv")
    assert len(made) == len(standins.arxiv.requests) == 4
    assert all(later - earlier > 700 for earlier, later in pairwise(made))


def test_a_429_that_one_pod_sees_holds_the_pods_of_other_queues_and_all_go_on_afterwards(
    make_env: MakeEnv, standins: Standins, valkey: Redis
) -> None:
    standins.arxiv.fault("status", status=429, retry_after=4)
    one, two = make_env("one", "2005.14165"), make_env("two", "2103.00020")
    first = start(one)
    until_ms, by = str(until(lambda: valkey.get("{paperjobs}:budget:arxiv:hold"))).split()
    second = start(two)
    for env, process in ((one, first), (two, second)):
        ended = end_of(env, process)
        assert ended.code == ExitCode.DONE, ended.output
    assert by == "one-run"
    made = calls(valkey, "arxiv")
    assert len(made) == len(standins.arxiv.requests) == 5
    assert sum(at < int(until_ms) for at in made) == 1, "only the call that was answered with 429"


def test_a_long_retry_after_ends_the_run_without_an_attempt_and_no_other_run_calls_meanwhile(
    make_env: MakeEnv, standins: Standins, valkey: Redis
) -> None:
    standins.arxiv.fault("status", status=503, retry_after=100_000)
    ended = run(make_env("one", "1706.03762"))
    assert ended.code == ExitCode.RATE_LIMITED, ended.output
    assert ended.report is not None
    assert (ended.report.error_type, ended.report.retry_after_ms) == ("RateLimited", 3_600_000)
    assert (ended.report.budget, ended.report.budget_held) == ("arxiv", True)

    ended = run(make_env("two", "1706.03762"))
    assert ended.code == ExitCode.RATE_LIMITED, ended.output
    assert ended.report is not None
    assert ended.report.error_type == "BudgetSpent"
    assert "the budget arxiv is held" in (ended.report.message or "")
    assert (ended.report.budget, ended.report.budget_held) == ("arxiv", True)
    assert 3_500_000 < (ended.report.retry_after_ms or 0) <= 3_600_000
    assert len(standins.arxiv.requests) == len(calls(valkey, "arxiv")) == 1


def test_a_pod_that_must_leave_while_it_stands_in_the_line_gives_its_place_back(
    make_env: MakeEnv, valkey: Redis
) -> None:
    env = make_env("papers", "1706.03762", arxiv={"max": 1, "perMs": 20_000})
    process = start(env)
    until(lambda: valkey.zcard("{paperjobs}:budget:arxiv:line"))
    process.send_signal(signal.SIGTERM)
    ended = end_of(env, process, seconds=10)
    assert ended.code == ExitCode.INTERRUPTED, ended.output
    assert valkey.zcard("{paperjobs}:budget:arxiv:line") == 0


def test_budgets_without_a_redis_are_a_wrong_setting(make_env: MakeEnv, standins: Standins) -> None:
    ended = run(make_env("papers", "1706.03762") | {"REDIS_HOST": ""})
    assert ended.report is not None
    assert ended.report.error_type == "SettingsInvalid"
    assert "REDIS_HOST: not set; the budgets in PAPERJOBS_BUDGETS are kept in Redis" in (ended.report.message or "")
    assert standins.arxiv.requests == ()
