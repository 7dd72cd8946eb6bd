"""Prometheus metrics. Labels are bounded: queues that exist, states, outcomes, and reasons from a list.

`queue` is the BullMQ queue, as in the logs; `paperqueue` the object that serves it, since two prefixes may each have a
queue of one name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from paperjobs.engine.observer import EngineObserver
from paperjobs.model import CancelRequest, Job, Outcome, QueueSettings, QueueStatus, Run

REASONS: Final = frozenset(
    {
        "Completed",
        "Crashed",
        "CreateContainerConfigError",
        "DeadlineExceeded",
        "Disrupted",
        "ErrImagePull",
        "Error",
        "Evicted",
        "ImagePullBackOff",
        "Interrupted",
        "NodeLost",
        "OOMKilled",
        "PodVanished",
        "RateLimited",
        "StartError",
        "Unschedulable",
    }
)
"""Reasons with a series of their own. Error classes come from the runner: they are all counted as Other."""

QUEUE: Final = ("queue", "paperqueue")
"""Labels of every series that is about a queue."""

TICK_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
RUN_BUCKETS: Final = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)


class PrometheusObserver:
    """An EngineObserver whose numbers are in `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"paperjobs_{name}", text, labels, registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"paperjobs_{name}", text, labels, registry=registry)

        self._jobs = gauge("jobs", "Jobs in BullMQ by state.", *QUEUE, "state")
        self._live = gauge("live_runs", "Runs that hold a slot.", *QUEUE)
        self._slots = gauge("slots", "Runs that may be live at once.", *QUEUE)
        self._window = gauge("window_starts", "Starts in the rate limit's window that ends now.", *QUEUE)
        self._window_max = gauge("window_max_starts", "Starts that the rate limit's window allows.", *QUEUE)
        self._foreign = gauge("foreign_jobs", "Active jobs held by workers that are not PaperJobs.", *QUEUE)
        self._of_queues = (self._jobs, self._live, self._slots, self._window, self._window_max, self._foreign)
        self._shown: set[tuple[str, str]] = set()
        self._launched = counter("runs_launched", "Runs created.", *QUEUE)
        self._settled = counter("runs_settled", "Runs by how they ended.", *QUEUE, "outcome", "reason")
        self._cancelled = counter("jobs_cancelled", "Jobs failed because somebody cancelled them.", *QUEUE)
        self._failures = counter("tick_failures", "Ticks that could not be made.", *QUEUE, "error")
        self._ticks = Histogram(
            "paperjobs_tick_seconds", "Duration of a tick.", QUEUE, buckets=TICK_BUCKETS, registry=registry
        )
        self._run_seconds = Histogram(
            "paperjobs_run_seconds", "Duration of a run's pod.", QUEUE, buckets=RUN_BUCKETS, registry=registry
        )
        self._requests = counter("api_requests", "Requests to the API server.", "verb", "resource", "code")
        self._leading = Gauge("paperjobs_leading", "1 while this replica leads.", registry=registry)

    def ticked(self, queue: QueueSettings, status: QueueStatus, seconds: float) -> None:
        self._shown.add(_names(queue))
        self._ticks.labels(*_names(queue)).observe(seconds)
        counts = status.counts
        for state, number in (
            ("waiting", counts.waiting),
            ("delayed", counts.delayed),
            ("active", counts.active),
            ("completed", counts.completed),
            ("failed", counts.failed),
            ("waiting-children", counts.waiting_children),
        ):
            self._jobs.labels(*_names(queue), state).set(number)
        self._live.labels(*_names(queue)).set(status.live)
        self._slots.labels(*_names(queue)).set(status.concurrency)
        self._window.labels(*_names(queue)).set(status.window_used)
        self._window_max.labels(*_names(queue)).set(status.rate_limit.max if status.rate_limit else float("inf"))
        self._foreign.labels(*_names(queue)).set(status.foreign)

    def tick_failed(self, queue: QueueSettings, error: Exception) -> None:
        self._failures.labels(*_names(queue), type(error).__name__).inc()

    def launched(self, queue: QueueSettings, job: Job, run: str) -> None:
        self._launched.labels(*_names(queue)).inc()

    def settled(self, queue: QueueSettings, run: Run, outcome: Outcome) -> None:
        reason = outcome.reason if outcome.reason in REASONS else "Other"
        self._settled.labels(*_names(queue), outcome.kind.value, reason).inc()
        if run.started_at is not None and run.ended_at is not None:
            self._run_seconds.labels(*_names(queue)).observe(max(0, run.ended_at - run.started_at) / 1000)

    def cancelled(self, queue: QueueSettings, request: CancelRequest, run: str | None) -> None:
        self._cancelled.labels(*_names(queue)).inc()

    def requested(self, verb: str, resource: str, code: int) -> None:
        """A request to the API server was answered, or not (0)."""
        self._requests.labels(verb, resource, str(code)).inc()

    def serves(self, queues: Collection[QueueSettings]) -> None:
        """The queues that are served; the numbers of others are old."""
        served = {_names(queue) for queue in queues}
        for names in self._shown - served:
            for gauge in self._of_queues:
                gauge.remove_by_labels(dict(zip(QUEUE, names, strict=True)))
        self._shown &= served

    def leads(self, leading: bool) -> None:
        """Leadership was won or lost; a replica that does not lead knows nothing of the queues."""
        self._leading.set(int(leading))
        if not leading:
            self.serves(())


class Observers:
    """Several EngineObservers as one."""

    def __init__(self, *observers: EngineObserver) -> None:
        self._observers: Sequence[EngineObserver] = observers

    def ticked(self, queue: QueueSettings, status: QueueStatus, seconds: float) -> None:
        for observer in self._observers:
            observer.ticked(queue, status, seconds)

    def tick_failed(self, queue: QueueSettings, error: Exception) -> None:
        for observer in self._observers:
            observer.tick_failed(queue, error)

    def launched(self, queue: QueueSettings, job: Job, run: str) -> None:
        for observer in self._observers:
            observer.launched(queue, job, run)

    def settled(self, queue: QueueSettings, run: Run, outcome: Outcome) -> None:
        for observer in self._observers:
            observer.settled(queue, run, outcome)

    def cancelled(self, queue: QueueSettings, request: CancelRequest, run: str | None) -> None:
        for observer in self._observers:
            observer.cancelled(queue, request, run)


def _names(queue: QueueSettings) -> tuple[str, str]:
    return queue.queue, queue.name
