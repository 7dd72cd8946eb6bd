"""Work that is done once, whoever needs it: on a real Valkey, by threads and by whole runs."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from paperjobs_runner.contract import ExitCode
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import RateLimited
from paperjobs_runner.pipelines import PIPELINES
from paperjobs_runner.services.once import Once
from paperjobs_runner.services.redis_link import connect
from paperjobs_runner.settings import RedisSettings
from paperjobs_standins.server import Standins
from support.runner_process import end_of, environment, start

pytestmark = pytest.mark.usefixtures("redis_client")

LEASE = "{paperjobs}:lease:text"


class Desk:
    """Work whose result is kept, and who did it."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.kept: list[str] = []
        self.done = 0
        self.seconds = seconds
        self.started = threading.Event()

    def look(self) -> str | None:
        return self.kept[0] if self.kept else None

    def work(self) -> str:
        self.started.set()
        time.sleep(self.seconds)
        self.done += 1
        self.kept.append("text")
        return "text"


@pytest.fixture
def valkey(valkey_port: int) -> Iterator[Redis]:
    with connect(settings(valkey_port)) as client:
        yield client


def settings(port: int) -> RedisSettings:
    return RedisSettings(host="127.0.0.1", port=port, username=None, password=None, tls=False, db=0)


def once(valkey: Redis | None, *, ttl_s: float = 10.0, left_s: float = 60.0) -> Once:
    return Once(valkey, Deadline.after(left_s), ttl_s=ttl_s)


def test_of_eight_that_need_it_one_works_and_the_others_find_it_done(valkey: Redis) -> None:
    desk = Desk(seconds=0.3)
    with ThreadPoolExecutor(8) as runs:
        made = [runs.submit(once(valkey).do, "text", desk.look, desk.work) for _ in range(8)]
        assert [one.result() for one in made] == ["text"] * 8
    assert desk.done == 1
    assert not valkey.exists(LEASE)


def test_what_is_there_is_taken_without_a_lease() -> None:
    gone = connect(settings(1))
    assert once(gone).do("text", lambda: "text", lambda: pytest.fail("worked")) == "text"


def test_a_lease_is_renewed_while_the_work_goes_on(valkey: Redis) -> None:
    desk = Desk(seconds=1.5)
    with ThreadPoolExecutor(2) as runs:
        first = runs.submit(once(valkey, ttl_s=0.5).do, "text", desk.look, desk.work)
        desk.started.wait(5)
        second = runs.submit(once(valkey, ttl_s=0.5).do, "text", desk.look, desk.work)
        assert (first.result(), second.result()) == ("text", "text")
    assert desk.done == 1


def test_who_waits_goes_on_soon_after_the_other_is_done(valkey: Redis) -> None:
    valkey.set(LEASE, "another", px=60_000)
    desk = Desk()
    with ThreadPoolExecutor(1) as runs:
        waiting = runs.submit(once(valkey).do, "text", desk.look, desk.work)
        time.sleep(0.5)
        assert not waiting.done()
        desk.kept.append("the other's")
        valkey.delete(LEASE)
        ended = time.monotonic()
        assert waiting.result() == "the other's"
        assert time.monotonic() - ended < 2
    assert desk.done == 0


def test_a_holder_that_was_killed_blocks_nobody_for_long(valkey: Redis) -> None:
    valkey.set(LEASE, "killed", px=700)  # nobody renews it
    desk = Desk()
    assert once(valkey).do("text", desk.look, desk.work) == "text"
    assert desk.done == 1


def test_work_that_fails_gives_the_lease_back_at_once(valkey: Redis) -> None:
    def fail() -> str:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        once(valkey).do("text", lambda: None, fail)
    assert not valkey.exists(LEASE)


def test_who_waits_in_vain_is_tried_again_without_losing_an_attempt_and_does_not_work(valkey: Redis) -> None:
    valkey.set(LEASE, "another", px=60_000)
    desk, begun = Desk(), time.monotonic()
    with pytest.raises(RateLimited, match="another run is still at text") as limited:
        once(valkey, left_s=12).do("text", desk.look, desk.work)
    assert time.monotonic() - begun < 3, "half of the time that is left beyond one call"
    assert limited.value.exit_code is ExitCode.RATE_LIMITED
    assert limited.value.budget is None
    assert desk.done == 0
    assert valkey.get(LEASE) == "another"


@pytest.mark.parametrize("redis", ["none", "gone"])
def test_without_redis_everybody_works(redis: str) -> None:
    desk = Desk()
    assert once(None if redis == "none" else connect(settings(1))).do("text", desk.look, desk.work) == "text"
    assert desk.done == 1


def test_while_another_is_known_to_work_an_outage_of_redis_is_waited_through(
    valkey: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    valkey.set(LEASE, "another", px=1_000)
    desk, looks = Desk(), 0
    really = valkey.set

    def stumbling(*args: Any, **kwargs: Any) -> Any:
        nonlocal looks
        looks += 1
        if looks in (2, 3):
            raise ConnectionError
        return really(*args, **kwargs)

    monkeypatch.setattr(valkey, "set", stumbling)
    assert once(valkey).do("text", desk.look, desk.work) == "text"
    assert looks > 3


MakeEnv = Callable[[int], dict[str, str]]


@pytest.fixture
def make_env(standins: Standins, new_database: Path, tmp_path: Path, valkey_port: int) -> MakeEnv:
    """The environment of a run of one pipeline after the other; all of them about one paper that no other test has."""
    pipelines = list(islice(cycle(sorted(PIPELINES)), 8))

    def make(number: int) -> dict[str, str]:
        folder = tmp_path / str(number)
        folder.mkdir()
        paper = "1207.7235" if "killed" in os.environ["PYTEST_CURRENT_TEST"] else "1207.7214"
        return environment(standins, new_database, folder) | {
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(valkey_port),
            "PAPERJOBS_QUEUE": pipelines[number],
            "PAPERJOBS_PIPELINE": pipelines[number],
            "PAPERJOBS_RUN": f"run-{number}",
            "PAPERJOBS_PAYLOAD": json.dumps({"paperId": "p", "arxivUrl": f"https://arxiv.org/abs/{paper}"}),
        }

    return make


def asked(standins: Standins, service: str, part: str, method: str = "") -> int:
    requests = getattr(standins, service).requests
    return sum(part in request.target and method in ("", request.method) for request in requests)


def test_four_pipelines_at_once_ask_arxiv_once_for_paper_and_pdf_and_adobe_once_for_the_text(
    make_env: MakeEnv, standins: Standins
) -> None:
    standins.arxiv.fault("slow", seconds=0.5, path="/api/query")  # so that all of them have begun
    envs = [make_env(number) for number in range(4)]
    for env, process in [(env, start(env)) for env in envs]:
        ended = end_of(env, process)
        assert ended.code == ExitCode.DONE, ended.output
    assert asked(standins, "arxiv", "/api/query") == 1
    assert asked(standins, "arxiv", "/pdf/") == 1
    assert asked(standins, "adobe", "/assets") == 1
    assert asked(standins, "adobe", "/operation/extractpdf", "POST") == 1


def test_when_the_run_that_fetches_is_killed_another_takes_over(
    make_env: MakeEnv, standins: Standins, valkey: Redis
) -> None:
    standins.arxiv.fault("slow", seconds=60, path="/pdf/", times=1)
    envs = [make_env(number) for number in range(3)]
    first = start(envs[0])
    _until(lambda: asked(standins, "arxiv", "/pdf/"))
    others = [(env, start(env)) for env in envs[1:]]
    first.send_signal(signal.SIGKILL)
    first.communicate()
    for env, process in others:
        ended = end_of(env, process)
        assert ended.code == ExitCode.DONE, ended.output
    assert asked(standins, "arxiv", "/pdf/") == 2, "the one that was killed, and the one that took over"
    assert asked(standins, "adobe", "/operation/extractpdf", "POST") == 1
    assert valkey.keys("{paperjobs}:lease:*") == []


def _until(condition: Callable[[], Any], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
