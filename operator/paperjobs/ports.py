"""The two ports of the engine. Every error of an adapter is one of `errors.py`; anything else is a bug."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from paperjobs.model import (
    Budget,
    BudgetUse,
    Claim,
    EnqueueOptions,
    Job,
    JobState,
    JobStatus,
    Outcome,
    PaperJobView,
    QueueSettings,
    QueueState,
    QueueStatus,
    RateLimit,
    Run,
    WindowFull,
)


class JobQueue(Protocol):
    """One BullMQ queue in Redis. All methods raise RedisUnavailable when Redis cannot be asked; those that read what is
    decided on, and those that start something, raise NoLongerLeading when a later leader of this installation acts."""

    def update(self, settings: QueueSettings) -> None:
        """Take edited settings: the defaults for attempts and backoff. Queue name and prefix never change."""

    def new_token(self) -> str:
        """A token for one reservation and one claim, unlike any other."""

    async def observe(self, rate_limit: RateLimit | None, budgets: Sequence[Budget] = ()) -> QueueState:
        """Read everything a tick decides on, in one atomic script; the budgets, if any, in a second one: other queues
        share them."""

    async def claim(self, token: str, lock_ms: int, rate_limit: RateLimit | None) -> Job | WindowFull | None:
        """Move the next waiting job to active, lock it and count its start, all in one step; None when none may be
        claimed. Starts are counted without a limit too: one may be set later."""

    async def reserve(self, token: str, rate_limit: RateLimit | None) -> int | None:
        """Count a start under `token`, instead of an earlier one of that token; None when counted, else when to ask
        again. For a launch that was held up."""

    async def unreserve(self, token: str) -> None:
        """Give a start back; nothing happens when there is none."""

    async def restore_starts(self, starts: Mapping[str, int]) -> None:
        """Count again what Redis may have lost: times of starts by the tokens of their claims."""

    async def storage_problem(self) -> str:
        """Why this Redis must not be trusted with jobs (it may evict them); empty when it may."""

    async def load(self, job_id: str, claim: Claim) -> Job | None:
        """Read an active job again, to launch it after a crash; None when that claim is over."""

    async def relock(self, job_id: str, claim: Claim, lock_ms: int) -> bool:
        """Put a lost lock back; False when the claim is over."""

    async def record_launch(self, job_id: str, claim: Claim) -> None:
        """Remember beside the job that this claim's run exists."""

    async def finish(self, job_id: str, claim: Claim, outcome: Outcome) -> bool:
        """End the claim as a BullMQ worker would: completed, failed, retried with backoff, or returned without
        an attempt. False when the claim is over already: then nothing was changed."""

    async def hold(self, duration_ms: int) -> None:
        """Admit nothing from this queue for that long from now; an earlier hold that lasts longer stays."""

    async def hold_budget(self, budget: Budget, duration_ms: int, by: str) -> None:
        """Let nobody call the service of that budget for that long from now, since it asked the run `by` to wait; an
        earlier hold that lasts longer stays."""

    async def mirror_budgets(self, budgets: Sequence[Budget]) -> None:
        """Write the limits to where runs draw on them: runs that have begun keep to them from now on."""

    async def mirror_limits(self, concurrency: int, rate_limit: RateLimit | None) -> None:
        """Cap stray BullMQ workers too: write the limits into the queue's meta unless the app set lower ones."""

    async def request_cancel(self, job_id: str, message: str) -> None:
        """Have a job cancelled: observed until it has ended. Nothing happens when there is none, or it has ended."""

    async def take(self, job_id: str, lock_ms: int) -> Job | None:
        """Move exactly this job to active, whatever it waits for, because it is to be cancelled: no start.

        None when there is nothing to take: it is active, or its request is void, which is dropped then."""

    async def drop_cancel(self, job_id: str) -> None:
        """The job has been cancelled."""

    async def enqueue(self, job_id: str, name: str, data: str, options: EnqueueOptions) -> None:
        """Add a job under its own id; nothing happens when that id exists. It has the queue's own backoff when it sets
        attempts only."""

    async def states(self, job_ids: Iterable[str]) -> Mapping[str, JobState]:
        """The state of each job, for reporting."""

    async def return_abandoned(self) -> None:
        """Let BullMQ return jobs whose workers died; a job is returned when it was seen without a lock twice, half a
        minute apart."""

    async def wait_for_work(self) -> bool:
        """True when work may have arrived, False when none did for a while; never misses an arrival."""

    async def wait_for_request(self) -> bool:
        """True when a cancellation may have been requested, False when none was for a while; never misses one."""

    async def close(self) -> None:
        """Give the connections back."""


class Cluster(Protocol):
    """Where runs live, and where people look. Reads are from a cache that is kept current by a watch.

    Writes raise ClusterUnavailable (try again) or LaunchRefused (the server says no).
    """

    def now(self) -> int:
        """Unix milliseconds on the clock that the times of runs are from."""

    def runs(self, queue: QueueSettings) -> Sequence[Run]:
        """Every run of the queue, live or ended, those just launched included. ClusterUnavailable until synced."""

    async def rehearse(self, queue: QueueSettings) -> None:
        """Ask whether a run of this queue would be accepted now, without creating anything."""

    async def launch(self, queue: QueueSettings, job: Job, name: str) -> None:
        """Create the run, and the PaperJob that shows it; a run of that name that exists already is adopted.

        Raises PaperJobDeleted when the job was made with kubectl and its PaperJob is gone."""

    async def run_exists(self, queue: QueueSettings, name: str) -> bool:
        """Ask the source of truth, not the cache."""

    async def give_up(self, queue: QueueSettings, name: str, outcome: Outcome) -> None:
        """End a run whose time is over. It is seen as terminating, and once its pod is gone as ended with this
        outcome, unless it succeeded meanwhile; nothing happens when it is gone."""

    async def remove(self, queue: QueueSettings, name: str) -> None:
        """End a run and delete it; nothing happens when it is gone."""

    def paperjobs(self, queue: QueueSettings) -> Sequence[PaperJobView] | None:
        """Every PaperJob of the queue; None where there are no such objects."""

    async def paperjob_exists(self, queue: QueueSettings, job_id: str) -> bool:
        """Ask the source of truth whether the PaperJob that shows this job still exists. Local: always True."""

    async def show_job(self, queue: QueueSettings, paperjob: PaperJobView, status: JobStatus) -> None:
        """Write a PaperJob's status."""

    async def forget_job(self, queue: QueueSettings, paperjob: PaperJobView) -> None:
        """Delete a finished PaperJob that is past the history limit, and with it its runs."""

    async def show_queue(self, queue: QueueSettings, status: QueueStatus) -> None:
        """Write a PaperQueue's status."""

    async def show_budgets(self, budgets: Sequence[BudgetUse]) -> None:
        """Write the statuses of ApiBudgets; several queues show the same ones."""
