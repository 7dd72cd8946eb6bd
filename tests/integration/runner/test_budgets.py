"""Budgets on a real Valkey: many callers at once, holds, edits, and a Redis that cannot be asked."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from paperjobs_runner.contract import BUDGET_LIMITS, Assignment, Budget
from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import BudgetSpent, RateLimited, ServiceFailed
from paperjobs_runner.services import budgets as service
from paperjobs_runner.services.allowance import UNLIMITED, Allowance
from paperjobs_runner.services.budgets import Budgets
from paperjobs_runner.services.patience import with_patience
from paperjobs_runner.services.redis_link import connect
from paperjobs_runner.settings import RedisSettings
from support.valkey import valkey_server

pytestmark = pytest.mark.usefixtures("redis_client")

ASSIGNMENT = Assignment(
    queue="papers",
    prefix="bull",
    pipeline="p",
    job_id="7",
    job_name="paper",
    run="papers-0123",
    claim=1,
    attempt=1,
    payload="{}",
    timeout_seconds=600,
)

CALLER = """
import sys
from integration.runner.test_budgets import Caller
port, name, calls, limit, per_ms = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
with Caller(int(port), name, limit, per_ms) as caller:
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(calls):
        caller.draw()
"""


@dataclass
class Caller:
    """One run, with a budget for arXiv."""

    port: int
    job: str = "7"
    max: int = 1
    per_ms: int = 3_000
    deadline: Deadline = field(default_factory=lambda: Deadline.after(600))
    username: str | None = None

    def __post_init__(self) -> None:
        settings = RedisSettings(
            host="127.0.0.1", port=self.port, username=self.username, password=self.username, tls=False, db=0
        )
        budget = Budget(name="arxiv", max=self.max, per_ms=self.per_ms)
        assignment = replace(ASSIGNMENT, job_id=self.job, run=f"papers-{self.job}", budgets=(budget,))
        self.budgets = Budgets(assignment, settings, self.deadline)
        self.allowance: Allowance = self.budgets.of("arxiv", UNLIMITED)
        self.called_at: list[float] = []

    def draw(self) -> None:
        self.allowance.draw()
        self.called_at.append(time.monotonic())

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.budgets.close()


@pytest.fixture
def valkey(valkey_port: int) -> Iterator[Redis]:
    """A client that waits, for tests with threads."""
    with Redis(host="127.0.0.1", port=valkey_port, decode_responses=True) as client:
        yield client


@pytest.fixture
def in_line(valkey_port: int, valkey: Redis) -> Iterator[Callable[[Caller], threading.Thread]]:
    """Starts a caller in a thread and returns when it stands in the line."""
    started: list[tuple[Caller, threading.Thread]] = []

    def start(caller: Caller) -> threading.Thread:
        waiting = valkey.zcard("{paperjobs}:budget:arxiv:line")
        thread = threading.Thread(target=caller.draw)
        thread.start()
        started.append((caller, thread))
        until(lambda: valkey.zcard("{paperjobs}:budget:arxiv:line") == int(str(waiting)) + 1)
        return thread

    yield start
    for caller, thread in started:
        thread.join(20)
        caller.budgets.close()


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def calls(valkey: Redis) -> list[int]:
    """The instants of all calls, by the server's clock."""
    made: Any = valkey.zrange("{paperjobs}:budget:arxiv:calls", 0, -1, withscores=True)
    return [int(at) for _, at in made]


def test_processes_that_call_at_the_same_time_keep_the_limit_in_every_interval_and_lose_no_turn(
    valkey_port: int, valkey: Redis
) -> None:
    most, per_ms, processes, each = 3, 250, 6, 4
    command = [sys.executable, "-c", CALLER, str(valkey_port)]
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    started = [
        subprocess.Popen(
            [*command, f"job-{number}", str(each), str(most), str(per_ms)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        process.communicate(timeout=60)
        assert process.returncode == 0

    made = calls(valkey)
    assert len(made) == processes * each
    assert all(later - earlier > per_ms for earlier, later in zip(made, made[most:], strict=False))
    # Strict, and hardly slower than the limit: a turn is missed only by whoever wakes up late.
    assert made[-1] - made[0] < (len(made) / most) * per_ms * 2 + 3_000


def test_callers_are_served_in_the_order_in_which_they_came(
    valkey_port: int, in_line: Callable[[Caller], threading.Thread]
) -> None:
    callers = [Caller(valkey_port, job=str(number), per_ms=300) for number in range(6)]
    callers[0].draw()
    threads = [in_line(caller) for caller in callers[1:]]
    for thread in threads:
        thread.join(20)
    served = [caller.called_at[0] for caller in callers]
    assert served == sorted(served)
    assert all(later - earlier > 0.25 for earlier, later in pairwise(served))


def test_a_hold_moves_those_who_sleep_already_and_is_told_to_the_operator_with_the_run_that_was_asked(
    valkey_port: int, valkey: Redis, in_line: Callable[[Caller], threading.Thread]
) -> None:
    first, sleeper = Caller(valkey_port, job="1", per_ms=200), Caller(valkey_port, job="2", per_ms=200)
    first.draw()
    thread = in_line(sleeper)
    assert first.allowance.hold(RateLimited("arXiv asks to wait", retry_after_ms=900))
    held_at = time.monotonic()
    assert str(valkey.get("{paperjobs}:budget:arxiv:hold")).split()[1] == "papers-1"
    assert first.allowance.hold(RateLimited("arXiv asks to wait", retry_after_ms=100)), "the longer one stays"
    thread.join(20)
    assert 0.89 <= sleeper.called_at[0] - held_at < 3
    assert valkey.get("{paperjobs}:budget:arxiv:hold") is None


def test_an_edited_limit_wins_over_the_one_a_run_began_with_and_reaches_sleepers(
    valkey_port: int,
    valkey: Redis,
    in_line: Callable[[Caller], threading.Thread],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "LOOK_AGAIN_S", 0.1)
    first, sleeper = Caller(valkey_port, job="1", per_ms=30_000), Caller(valkey_port, job="2", per_ms=30_000)
    first.draw()
    thread = in_line(sleeper)
    valkey.hset(BUDGET_LIMITS, "arxiv", Budget(name="arxiv", max=5, per_ms=1_000).limit)
    thread.join(5)
    assert len(sleeper.called_at) == 1


def test_a_turn_that_is_too_far_off_gives_the_job_back_until_the_line_is_short_enough(
    valkey_port: int, valkey: Redis
) -> None:
    with Caller(valkey_port, job="1", per_ms=90_000) as first, Caller(valkey_port, job="2", per_ms=90_000) as second:
        first.draw()
        with pytest.raises(BudgetSpent, match="the budget arxiv is used up: the next turn is in 90 s") as spent:
            second.draw()
        assert 29_000 < spent.value.retry_after_ms <= 30_001
        assert spent.value.budget is None, "that the line is long holds nobody up"
        first.allowance.hold(RateLimited("", retry_after_ms=120_000))
        with pytest.raises(BudgetSpent, match="the budget arxiv is held") as held:
            second.draw()
        assert 119_000 < held.value.retry_after_ms <= 120_000
    assert valkey.zcard("{paperjobs}:budget:arxiv:line") == 0
    assert len(calls(valkey)) == 1


def test_a_run_sleeps_for_turns_no_longer_than_half_of_its_time(valkey_port: int) -> None:
    with Caller(valkey_port, per_ms=5_000) as caller:
        caller.draw()
        caller.budgets.sleep_left_s = 3.0
        with pytest.raises(BudgetSpent):
            caller.draw()


def test_a_run_that_is_interrupted_in_the_line_gives_its_place_back(valkey_port: int, valkey: Redis) -> None:
    def interrupted(_seconds: float) -> None:
        assert valkey.zcard("{paperjobs}:budget:arxiv:line") == 1
        raise KeyboardInterrupt

    with Caller(valkey_port, deadline=replace(Deadline.after(600), sleep=interrupted)) as caller:
        caller.draw()
        with pytest.raises(KeyboardInterrupt):
            caller.draw()
    assert valkey.zcard("{paperjobs}:budget:arxiv:line") == 0


def test_a_run_that_is_interrupted_before_it_knows_its_place_gives_that_back_too(
    valkey_port: int, valkey: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Caller(valkey_port) as caller:
        caller.draw()
        evaluate = caller.budgets.evaluate

        def interrupted(name: str, *args: Any) -> Any:
            answer = evaluate(name, *args)
            if name == "draw":
                raise KeyboardInterrupt
            return answer

        monkeypatch.setattr(caller.budgets, "evaluate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            caller.draw()
    assert valkey.zcard("{paperjobs}:budget:arxiv:line") == 0


def test_a_short_retry_stands_in_the_line_like_everyone_else(valkey_port: int, valkey: Redis) -> None:
    answers = iter([RateLimited("asks to wait", retry_after_ms=700), ServiceFailed(), None])

    def call() -> str:
        caller.draw()
        if (error := next(answers)) is not None:
            raise error
        return "answer"

    with Caller(valkey_port, per_ms=100) as caller:
        slept: list[float] = []
        patient = replace(caller.deadline, sleep=slept.append)
        assert with_patience(call, deadline=patient, allowance=caller.allowance) == "answer"
        assert slept == [2.0], "only the failure is slept off by the run itself"
    made = calls(valkey)
    assert made[1] - made[0] >= 699
    assert made[2] - made[1] > 100


def test_a_service_that_asks_for_long_is_held_for_everyone_and_the_run_ends_at_once(
    valkey_port: int, valkey: Redis
) -> None:
    def call() -> None:
        caller.draw()
        raise RateLimited("asks to wait", retry_after_ms=77_000)

    with Caller(valkey_port) as caller, pytest.raises(RateLimited, match="asks to wait") as limited:
        with_patience(call, deadline=caller.deadline, allowance=caller.allowance)
    assert (limited.value.retry_after_ms, limited.value.budget, limited.value.budget_held) == (77_000, "arxiv", True)
    assert 70_000 < int(str(valkey.pttl("{paperjobs}:budget:arxiv:hold"))) <= 77_000
    assert len(calls(valkey)) == 1


@dataclass
class Clock:
    """Only sleeping moves it."""

    now: float = 0.0

    def deadline(self, seconds: float) -> Deadline:
        return Deadline(at=seconds, clock=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_while_redis_cannot_be_asked_nothing_is_called_and_after_half_a_minute_the_job_is_given_back() -> None:
    clock = Clock()
    with Caller(1, deadline=clock.deadline(600)) as caller:
        with pytest.raises(BudgetSpent, match="Redis cannot be asked for the budget arxiv") as unknown:
            caller.draw()
        assert clock.now == service.REDIS_PATIENCE_S
        assert unknown.value.retry_after_ms == 30_000
        asked = RateLimited("asks to wait", retry_after_ms=5_000)
        with pytest.raises(RateLimited) as limited:
            caller.allowance.hold(asked)
        assert limited.value is asked
        assert (asked.budget, asked.budget_held) == ("arxiv", False), "the operator is to hold it"


def test_a_redis_that_is_back_in_time_is_asked_again(valkey_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    with Caller(valkey_port, deadline=clock.deadline(600)) as caller:
        evaluate, failures = caller.budgets.evaluate, [ResponseError("LOADING"), OSError(), ConnectionResetError()]

        def flaky(*args: Any) -> Any:
            if failures:
                raise failures.pop()
            return evaluate(*args)

        monkeypatch.setattr(caller.budgets, "evaluate", flaky)
        caller.draw()
    assert clock.now == 3 * service.REDIS_PAUSE_S


def test_after_a_failover_the_new_master_is_asked_and_not_the_one_that_takes_no_writes(
    valkey_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    with valkey_server(tmp_path) as old_port, Redis(host="127.0.0.1", port=old_port) as old:
        old.replicaof("127.0.0.1", str(valkey_port))
        opened = iter([old_port, valkey_port])

        def by_name(settings: RedisSettings) -> Redis:
            return connect(replace(settings, port=next(opened)))

        monkeypatch.setattr(service, "connect", by_name)
        with Caller(valkey_port, deadline=clock.deadline(600)) as caller:
            caller.draw()
    assert clock.now == service.REDIS_PAUSE_S


def test_a_user_who_may_not_touch_the_budgets_is_told_which_keys_to_allow(valkey: Redis, valkey_port: int) -> None:
    valkey.acl_setuser("narrow", enabled=True, passwords=["+narrow"], categories=["+@all"], keys=["bull:*"])
    valkey.acl_setuser(
        "wide", enabled=True, passwords=["+wide"], categories=["+@all"], keys=["bull:*", "{paperjobs}:*"]
    )
    says = r"allow the user of REDIS_USERNAME the keys \{paperjobs\}:\*"
    with Caller(valkey_port, username="narrow") as caller, pytest.raises(BudgetSpent, match=says):
        caller.draw()
    with Caller(valkey_port, username="wide") as caller:
        caller.draw()
        caller.allowance.hold(RateLimited("", retry_after_ms=100))
    valkey.acl_deluser("narrow", "wide")


def test_all_that_a_budget_keeps_is_forgotten_in_time(valkey_port: int, valkey: Redis) -> None:
    with Caller(valkey_port, per_ms=200) as caller:
        caller.draw()
        caller.draw()
        caller.allowance.hold(RateLimited("", retry_after_ms=86_400_000))
        with pytest.raises(BudgetSpent):
            caller.draw()
    lives = {str(key): int(str(valkey.pttl(key))) for key in valkey.scan_iter("{paperjobs}:*")}
    assert lives.keys() == {f"{{paperjobs}}:budget:arxiv:{part}" for part in ("calls", "hold", "refused")}
    assert all(0 < life <= service.RETENTION_MS for life in lives.values())
