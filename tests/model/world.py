"""Everything there is in one schedule: a clock, a queue, a cluster, operator processes, the requests between them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from model.cluster_truth import POD_DELETED, ClusterTruth
from model.cluster_view import ClusterView
from model.crossing import Fate, Request, Traffic
from model.ledger import Ledger
from model.process import Limits, Process
from model.queue_end import QueueEnd
from model.steppedloop import SteppedLoop
from paperjobs.bullmq.scripts import STALLED_INTERVAL_MS
from paperjobs.errors import PaperJobsError
from paperjobs.model import TERMINATION_GRACE_S, Outcome, OutcomeKind, QueueSettings, RunPhase
from paperjobs.outcome import deadline_exceeded
from support.fakeclock import FakeClock
from support.memory_queue import MemoryJobQueue, MemoryRedis

INSTALLATION: Final = "model"
GIVEN_UP_MS: Final = 10_000
"""A request that has no answer after this is given up (COMMAND_TIMEOUT_S; the API client's is alike)."""
ADRIFT_MS: Final = 5_000
"""For so long may a request take effect whose sender gave up."""
LAG_MS: Final = 20_000
"""So late may a watch be (RunCache counts on 30 s for what it launched itself)."""
RUN_MS: Final = 700
"""How long a run takes while nothing is decided about it."""
DONE: Final = Outcome(kind=OutcomeKind.COMPLETED, reason="Completed", result={"n": 1})
FOREIGN_LOCK_MS: Final = 30_000
SHOWN_STEPS: Final = 300


class Violation(AssertionError):
    """A promise was broken; says which, and what led to it."""


class World:
    """A queue, a cluster, and who works on them."""

    def __init__(self, settings: QueueSettings) -> None:
        self.settings = settings
        self.clock = FakeClock()
        self.loop = SteppedLoop(self.clock)
        self.redis = MemoryRedis(self.clock)
        self.bullmq = self.redis.bullmq
        self.truth = ClusterTruth(clock=self.clock)
        self.traffic = Traffic(create_future=self.loop.create_future)
        self.processes: list[Process] = []
        self._limits: dict[str, Limits] = {}
        self.ledger = Ledger(settings, self.redis, self.truth, self._limits.__getitem__)
        self.truth.created = self.ledger.created
        self.bullmq.ended = self.ledger.ended
        self._given_up_at: dict[Request, int] = {}

    def close(self) -> None:
        """Leave no task behind."""
        for process in list(self.processes):
            self.kill(process)

    # --- operator processes

    def start_process(self) -> Process:
        """A new leader, cold; those that led before may not know it yet."""
        term = len(self._limits) + 1
        name = f"operator-{term}"
        queue = QueueEnd(MemoryJobQueue(self.settings, self.redis, INSTALLATION, term), self.traffic, name, self.ledger)
        process = Process(name, self.loop, self.settings, queue, ClusterView(self.truth, self.traffic, name))
        self._limits[name] = process.limits
        self.processes.append(process)
        self.traffic.log.append(f"  {name} starts")
        self.run_ready()
        return process

    def kill(self, process: Process) -> None:
        self.traffic.log.append(f"  {process.name} is killed")
        self.processes.remove(process)
        process.kill()
        self._note_adrift()

    def configure(self, settings: QueueSettings) -> None:
        self.settings = settings
        for process in self.processes:
            process.configure(settings)
        self.run_ready()

    # --- what happens next

    def run_ready(self) -> None:
        """Let every process go on until it waits."""
        self.loop.run_ready()
        while self._hand_out_markers():
            self.loop.run_ready()

    def decide(self, request: Request, fate: Fate) -> None:
        self.traffic.decide(request, fate)
        self._note_adrift()
        self.run_ready()

    def land(self, request: Request) -> None:
        self.traffic.land(request)
        self.run_ready()

    def pass_time(self, ms: int) -> None:
        """Let time pass while requests wait; those that wait too long are given up."""
        until = self.clock.now + ms
        while True:
            instants = [self.loop.next_timer, self._next_given_up(), self._next_deadline()]
            due = min((instant for instant in instants if instant is not None), default=until + 1)
            if due > until:
                break
            self._advance_to(due)
        self._advance_to(until)

    def calm(self, ms: int, *, until_ended: bool = False) -> None:
        """Let time pass while nothing goes wrong: every request is answered at once, caches are current, runs end."""
        end = self.clock.now + ms
        while True:
            self._answer_all()
            if until_ended and self.all_ended():
                return
            due = min(self.loop.next_timer or end, self._next_pod_event() or end)
            if due >= end:
                break
            self._advance_to(due)
            self._move_pods()
        self._advance_to(end)
        self._answer_all()

    def all_ended(self) -> bool:
        """Nothing waits, nothing runs."""
        bullmq = self.bullmq
        return not (bullmq.wait or bullmq.prioritized or bullmq.delayed or bullmq.active or self.truth.live)

    def check(self) -> None:
        """Raise what was violated."""
        if self.ledger.violations:
            raise Violation("\n".join([*self.ledger.violations, *self.traffic.log[:SHOWN_STEPS]]))
        broken = [process.crashed for process in self.processes if process.crashed is not None]
        broken += self.loop.errors
        broken += [e for process in self.processes for e in process.failures if not isinstance(e, PaperJobsError)]
        if broken:
            raise broken[0]

    def recover(self, ms: int) -> None:
        """Let nothing go wrong from now on: within that time, everything must have ended."""
        self.traffic.log.append("  all faults end")
        self.truth.refusing = False
        for process in [known for known in self.processes if known.name != f"operator-{len(self._limits)}"]:
            self.kill(process)  # an election would not let it lead under its old term
        if not self.processes:
            self.start_process()
        if self.bullmq.paused:
            self.bullmq.resume()
        self.configure(replace(self.settings, suspend=False, concurrency=max(1, self.settings.concurrency)))
        self.calm(ms, until_ended=True)
        self.check()
        if not self.all_ended():
            self._violated(f"lost: {[(job_id, self.bullmq.state_of(job_id)) for job_id in self.bullmq.jobs]}")
        self.calm(60_000)
        self.check()

    def _violated(self, what: str) -> None:
        self.ledger.violations.append(what)
        self.check()

    # --- people

    def cancel(self, name: str) -> None:
        """A person deletes a PaperJob."""
        self.ledger.paperjob_deleted(self.truth.paperjobs[name].view.job_id)
        self.truth.delete_paperjob(name)

    def delete_run(self, name: str) -> None:
        """A person deletes a Job."""
        self.ledger.run_deleted(name)
        self.truth.remove_run(name, foreground=False)

    def refuse(self, refusing: bool) -> None:
        """A quota or admission refuses launches, or no longer does."""
        self.truth.refusing = refusing
        self.ledger.refused = self.ledger.refused or refusing

    # --- foreign workers

    def foreign_active(self) -> list[str]:
        return [job_id for job_id in self.bullmq.active if self.bullmq.lock_of(job_id).startswith("foreign-")]

    def foreign_finish(self, job_id: str) -> None:
        self.bullmq.finish(job_id, self.bullmq.lock_of(job_id), "completed", {"returnvalue": "1"})

    def stalled_check(self) -> None:
        """A stock worker marks the active jobs, and half a minute later returns those without a lock."""
        self.bullmq.check_stalled()
        self.pass_time(STALLED_INTERVAL_MS)
        self.bullmq.check_stalled()
        self.run_ready()

    def foreign_claim(self) -> None:
        """A stock worker takes a job."""
        job = self.bullmq.move_to_active(f"foreign-{self.clock.now}", FOREIGN_LOCK_MS, worker=None)
        if job is not None:
            self.ledger.foreign.add(job.id)

    # --- how it is done

    def end_run(self, name: str, outcome: Outcome) -> None:
        """A pod ends."""
        self.truth.end_pod(name, outcome)
        true = self.truth.runs.get(name)
        if true is not None and true.run.outcome is not None:
            self.ledger.run_ended(name, true.run.outcome)

    def delete_pod(self, name: str) -> None:
        self.truth.terminate_pod(name, POD_DELETED)

    def _answer_all(self) -> None:
        self.run_ready()
        while True:
            for process in self.processes:
                process.view.see_runs(len(self.truth.run_changes))
                process.view.see_paperjobs(len(self.truth.paperjob_changes))
            self.run_ready()
            if self.traffic.adrift:
                self.land(self.traffic.adrift[0])
            elif self.traffic.waiting:
                self.decide(self.traffic.waiting[0], Fate.ANSWERED)
            elif not any(process.view.behind for process in self.processes):
                return

    def _advance_to(self, instant: int) -> None:
        self.clock.now = max(self.clock.now, instant)
        for process in self.processes:
            process.view.see_old(self.clock.now - LAG_MS)
        self.loop.fire_timers()
        self._enforce_deadlines()
        for request in list(self.traffic.waiting):
            if request in self.traffic.waiting and self.clock.now >= self._given_up(request):
                self.decide(request, Fate.LATE)
        for request in list(self.traffic.adrift):
            if self.clock.now >= request.expires:
                self.traffic.adrift.remove(request)
        self.run_ready()

    def _given_up(self, request: Request) -> int:
        return self._given_up_at.setdefault(request, self.clock.now + GIVEN_UP_MS)

    def _next_given_up(self) -> int | None:
        return min(map(self._given_up, self.traffic.waiting), default=None)

    def _note_adrift(self) -> None:
        for request in self.traffic.adrift:
            request.expires = request.expires or self.clock.now + ADRIFT_MS

    def _next_deadline(self) -> int | None:
        return min((self._deadline(name) for name in self.truth.live), default=None)

    def _deadline(self, name: str) -> int:
        """When a run is asked to end, or must have ended, because its time is over."""
        run = self.truth.runs[name].run
        if run.phase is RunPhase.TERMINATING:
            return self.truth.runs[name].terminating_since + TERMINATION_GRACE_S * 1000
        return run.created_at + self.settings.longest_run_s * 1000

    def _enforce_deadlines(self) -> None:
        for name in self.truth.live:
            if self._deadline(name) <= self.clock.now:
                if self.truth.runs[name].run.phase is RunPhase.TERMINATING:
                    self.end_run(name, DONE)
                else:
                    self.truth.terminate_pod(name, deadline_exceeded(self.settings.longest_run_s))

    def _next_pod_event(self) -> int | None:
        return self.clock.now + RUN_MS if self.truth.live else None

    def _move_pods(self) -> None:
        self.truth.collect_garbage()
        for name in list(self.truth.live):
            true = self.truth.runs[name]
            if true.run.phase is RunPhase.PENDING:
                self.truth.start_pod(name)
            elif true.run.phase is RunPhase.TERMINATING or true.run.created_at + RUN_MS <= self.clock.now:
                self.end_run(name, DONE)

    def _hand_out_markers(self) -> bool:
        if not self.processes:
            return False
        queue = self.processes[-1].queue.queue
        work = [one for process in self.processes for one in process.queue.listeners if not one.done()]
        requests = [one for process in self.processes for one in process.queue.request_listeners if not one.done()]
        if work and queue.take_marker():
            work[0].set_result(None)
        elif requests and queue.take_request():
            requests[0].set_result(None)
        else:
            return False
        return True
