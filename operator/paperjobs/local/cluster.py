"""Runs as processes of this machine: the Cluster of `paperjobs local`.

A record on disk stands for what Kubernetes keeps of a Job: it is written before the process starts and deleted when
the engine removes the run. Each process has a session of its own, so Ctrl-C in the terminal reaches only us and we
decide what it means for a run; and a leash, so it dies with us whatever happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from paperjobs.assignment import RESERVED, assignment
from paperjobs.errors import ClusterUnavailable, LaunchRefused, PaperJobsError
from paperjobs.local.leash import leashed
from paperjobs.local.records import Ending, RunRecord, RunRecords
from paperjobs.local.statedir import StateDir
from paperjobs.model import BudgetUse, Job, JobStatus, Outcome, PaperJobView, QueueSettings, QueueStatus, Run
from paperjobs_runner import contract
from paperjobs_runner.contract import Assignment

GRACE_S: Final = 10.0
"""How long a run may clean up after SIGTERM before it is killed; shorter than a pod's: a person waits."""

RUNNER: Final = (sys.executable, "-m", "paperjobs_runner")
"""The runner of this very installation."""


@dataclass
class _Live:
    """A process that is not known to be gone."""

    record: RunRecord
    process: asyncio.subprocess.Process | None = None
    watcher: asyncio.Task[None] | None = None
    """Kept here because the event loop holds its tasks only weakly."""
    terminating: bool = False
    removed: bool = False
    kill: asyncio.TimerHandle | None = None


class LocalCluster:
    """Implements `ports.Cluster`. All methods belong to one event loop."""

    def __init__(
        self,
        *,
        state: StateDir,
        env: Mapping[str, str],
        wake: Callable[[str], None],
        command: Sequence[str] = RUNNER,
    ) -> None:
        """`env` is the whole environment of a run apart from its assignment; `wake` gets the key of a queue whose
        runs changed."""
        self._state = state
        self._records = RunRecords(state.runs)
        self._env = {name: value for name, value in env.items() if name not in RESERVED}
        self._wake = wake
        self._command = command
        self._live: dict[str, _Live] = {}
        self._ended: dict[str, RunRecord] = {}
        self._earlier: dict[str, str] = {}
        self._stopping = False
        self._left = asyncio.Event()

    def recover(self) -> int:
        """Learn of the runs of earlier sessions, and end those that still live; returns how many those were.

        To be called before the first tick: what nobody watched is returned to its queue, not adopted.
        """
        lost = 0
        for record in self._records.load():
            if record.ending is None:
                process = self._records.process(record.name)
                if process is not None:
                    process.end(gently=False)
                record = replace(record, ending=Ending.LOST, ended_at=_now_ms())  # noqa: PLW2901
                self._records.save(record)
                lost += 1
            self._ended[record.name] = record
        self._earlier = {name: record.queue for name, record in self._ended.items()}
        return lost

    def forget(self, name: str) -> None:
        """A run was settled: nobody will ask for it again."""
        if self._ended.pop(name, None) is not None:
            self._records.delete(name)

    def forget_earlier(self, queue: QueueSettings) -> None:
        """A tick saw every run of earlier sessions: what it did not settle belongs to claims that are over."""
        for name in [name for name, owner in self._earlier.items() if owner == queue.key]:
            del self._earlier[name]
            self.forget(name)

    @property
    def unsettled(self) -> int:
        """Runs, live or ended, that the engine has not removed."""
        return len(self._live) + len(self._ended)

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """Start nothing more, ask every run to leave, and return when all are gone. Ended runs stay known."""
        self._stopping = True
        for live in self._live.values():
            self._ask_to_leave(live, grace_s)
        try:
            while self._live:
                self._left.clear()
                await self._left.wait()
        except asyncio.CancelledError:
            # Whoever cannot wait gets what a killed session leaves: the next one gives these jobs back.
            for live in self._live.values():
                if live.process is not None:
                    _signal_group(live.process, signal.SIGKILL)
            raise

    def now(self) -> int:
        """This machine's clock."""
        return _now_ms()

    def runs(self, queue: QueueSettings) -> Sequence[Run]:
        """Every run of the queue."""
        live = [
            run.record.as_run(terminating=run.terminating)
            for run in self._live.values()
            if run.record.queue == queue.key
        ]
        ended = [record.as_run(terminating=False) for record in self._ended.values() if record.queue == queue.key]
        return [*live, *ended]

    async def rehearse(self, queue: QueueSettings) -> None:
        """Nothing: what a process may not do shows when it starts."""

    async def launch(self, queue: QueueSettings, job: Job, name: str) -> None:
        """Start a process for a claimed job, ClusterUnavailable when the machine cannot just now, or
        LaunchRefused when it cannot start a process for this very job.

        While stopping, the run ends before it starts: so the claim is given back instead of staying for next time.
        """
        if name in self._live or name in self._ended:
            return
        record = RunRecord(
            name=name,
            queue=queue.key,
            job_id=job.id,
            claim=job.claim.number,
            attempt=job.attempts_made + 1,
            timeout_s=queue.timeout_s,
            created_at=_now_ms(),
        )
        if self._stopping:
            self._end(replace(record, ending=Ending.LOST, ended_at=_now_ms()))
            return
        live = self._live[name] = _Live(record=record)
        try:
            self._records.delete(name)
            self._records.save(record)
            live.process = await self._start(assignment(queue, job, name))
        except BaseException as error:
            del self._live[name]
            self._left.set()
            self._records.delete(name)
            if isinstance(error, (OSError, ValueError)):
                raise _not_started(error) from error
            raise
        live.watcher = asyncio.create_task(self._watch(live, live.process), name=f"run {name}")
        if self._stopping or live.removed:
            self._ask_to_leave(live, GRACE_S)

    async def run_exists(self, queue: QueueSettings, name: str) -> bool:
        """Whether the run is known here: nothing else starts runs on a laptop."""
        return name in self._live or name in self._ended

    async def give_up(self, queue: QueueSettings, name: str, outcome: Outcome) -> None:
        """Nothing: a process's parent keeps its time limit, so no run says that it has one."""

    async def remove(self, queue: QueueSettings, name: str) -> None:
        """Forget an ended run; ask a live one to leave, and forget it when it is gone."""
        self.forget(name)
        if name in self._live:
            self._live[name].removed = True
            self._ask_to_leave(self._live[name], GRACE_S)

    def paperjobs(self, queue: QueueSettings) -> Sequence[PaperJobView] | None:
        """A laptop has no PaperJob objects."""
        return None

    async def paperjob_exists(self, queue: QueueSettings, job_id: str) -> bool:
        """Always: nobody can delete what is not there, so nothing is ever cancelled this way."""
        return True

    async def show_job(self, queue: QueueSettings, paperjob: PaperJobView, status: JobStatus) -> None:
        """Nothing: there is no object to show it on."""

    async def forget_job(self, queue: QueueSettings, paperjob: PaperJobView) -> None:
        """Nothing: there is no object to delete."""

    async def show_queue(self, queue: QueueSettings, status: QueueStatus) -> None:
        """Nothing: the terminal shows what the engine's observer hears."""

    async def show_budgets(self, budgets: Sequence[BudgetUse]) -> None:
        """Nothing: a queue that waits for a budget says so itself."""

    async def _start(self, task: Assignment) -> asyncio.subprocess.Process:
        name = task.run
        env = {
            **self._env,
            **task.to_env(),
            contract.TERMINATION_LOG: str(self._records.message_file(name)),
        }
        with self._state.log(name).open("wb") as log:
            return await asyncio.create_subprocess_exec(
                *leashed(self._command, pid_file=self._records.pid_file(name), signal_on_death=signal.SIGKILL),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                env=env,
                start_new_session=True,
            )

    async def _watch(self, live: _Live, process: asyncio.subprocess.Process) -> None:
        ending = Ending.EXITED
        try:
            async with asyncio.timeout(live.record.timeout_s):
                await process.wait()
        except TimeoutError:
            ending = Ending.DEADLINE
            self._ask_to_leave(live, GRACE_S)
            self._wake(live.record.queue)
            await process.wait()
        if live.kill is not None:
            live.kill.cancel()
        _signal_group(process, signal.SIGKILL)
        name = live.record.name
        code = await process.wait()
        record = replace(
            live.record,
            ending=ending,
            ended_at=_now_ms(),
            exit_code=code if code >= 0 else 128 - code,
            message=self._records.message(name),
        )
        del self._live[name]
        self._left.set()
        self._end(record)
        if live.removed:
            self.forget(name)

    def _end(self, record: RunRecord) -> None:
        self._records.save(record)
        self._ended[record.name] = record
        self._wake(record.queue)

    def _ask_to_leave(self, live: _Live, grace_s: float) -> None:
        if live.process is None or live.terminating:
            return
        live.terminating = True
        _signal_group(live.process, signal.SIGTERM)
        live.kill = asyncio.get_running_loop().call_later(grace_s, _signal_group, live.process, signal.SIGKILL)


def _not_started(error: OSError | ValueError) -> PaperJobsError:
    """What a failed start means: the job cannot be passed to any process, or the machine has no room just now."""
    if isinstance(error, OSError) and error.errno != errno.E2BIG:
        return ClusterUnavailable(f"a run's process cannot be started: {error.strerror}")
    return LaunchRefused(
        "the job's id or name cannot be passed to a process: it is too long, or holds a character that no environment "
        "variable can carry; remove the job and add it under another"
    )


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
