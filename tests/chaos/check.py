"""Judges a history. Pure; each rule yields a violation for whatever it does not explain.

A start is the claim: the `active` event, at Redis' own clock. The launch that follows may be held up by a crash.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from chaos.history import Added, Change, Event, History

ENDS: Final = ("completed", "failed")
LEAVES_ACTIVE: Final = (*ENDS, "delayed", "waiting", "prioritized", "waiting-children", "stalled")
USES_AN_ATTEMPT: Final = ("done", "failed", "never")


@dataclass(frozen=True, kw_only=True)
class Violation:
    """Something that was promised not to happen."""

    rule: str
    subject: str
    detail: str


def check(history: History) -> list[Violation]:
    """Every violation of what is promised as long as Redis loses nothing it has answered."""
    return [violation for rule in RULES for violation in rule(history)]


def check_after_losses(history: History) -> list[Violation]:
    """What holds even when a killed Redis lost the last second of its answers."""
    return [violation for rule in RULES_AFTER_LOSSES for violation in rule(history)]


def ends_once(history: History) -> Iterator[Violation]:
    """Every job that was added has one final event, and no other job has any."""
    ends = Counter((event.queue, event.job_id) for event in history.events if event.kind in ENDS)
    known = {(job.queue, job.id) for job in history.added}
    for key in sorted(known | ends.keys()):
        if ends[key] != 1 or key not in known:
            yield Violation(rule="ends once", subject=_of(key), detail=f"{ends[key]} final events")


def nothing_lost(history: History) -> Iterator[Violation]:
    """Every job that was added is in Redis, completed or failed."""
    for job in history.added:
        final = history.final.get((job.queue, job.id))
        if final is None or final.state not in ENDS:
            state = "no such job" if final is None else final.state
            yield Violation(rule="nothing lost", subject=_of((job.queue, job.id)), detail=state)


def one_run_per_claim(history: History) -> Iterator[Violation]:
    """Each claim has one Job, made once, and each Job starts one runner."""
    claims = Counter((event.queue, event.job_id) for event in history.events if event.kind == "active")
    jobs = defaultdict[tuple[str, str], set[tuple[str, str]]](set)
    for change in history.changes:
        if change.kind == "Job":
            jobs[change.queue, change.job_id].add((change.run, change.uid))
    for key in sorted(claims.keys() | jobs.keys()):
        made = Counter(run for run, _ in jobs[key])
        too_often = [run for run, count in made.items() if count > _allowed(history, run)]
        if too_often or len(made) != claims[key]:
            detail = f"{claims[key]} claims, Jobs by run {dict(sorted(made.items()))}"
            yield Violation(rule="one Job per claim", subject=_of(key), detail=detail)
    yield from one_start_per_run(history)


def one_start_per_run(history: History) -> Iterator[Violation]:
    """No Job starts two runners."""
    for run, count in Counter(start.run for start in history.started).items():
        if count > _allowed(history, run):
            yield Violation(rule="one start per run", subject=run, detail=f"{count} runners started")


def _allowed(history: History, run: str) -> int:
    """How often a run's Job may have been made; never two of them at the same time (`one_run_at_a_time`)."""
    return 2 if run in history.jobs_deleted else 1


def one_run_at_a_time(history: History) -> Iterator[Violation]:
    """No job has two pods that live at the same time, whatever their claims."""
    told = set[tuple[str, str]]()
    for live, last in _live_pods(history):
        beside = [pod for pod in live if (pod.queue, pod.job_id) == (last.queue, last.job_id)]
        key = (last.queue, last.job_id)
        if len(beside) > 1 and key not in told:
            told.add(key)
            detail = f"at revision {last.revision}: {', '.join(sorted(pod.name for pod in beside))}"
            yield Violation(rule="one run at a time", subject=_of(key), detail=detail)


def live_pods_within_concurrency(history: History) -> Iterator[Violation]:
    """In no revision of the cluster are more pods alive than the queue allows."""
    told = set[str]()
    for live, last in _live_pods(history):
        alive = sum(pod.queue == last.queue for pod in live)
        allowed = history.limits[last.queue].concurrency
        if alive > allowed and last.queue not in told:
            told.add(last.queue)
            names = sorted(pod.name for pod in live if pod.queue == last.queue)
            detail = f"{alive} live pods at revision {last.revision}, {allowed} allowed: {', '.join(names)}"
            yield Violation(rule="concurrency of pods", subject=last.queue, detail=detail)


def claims_within_concurrency(history: History) -> Iterator[Violation]:
    """At no entry of the event stream are more jobs claimed than the queue allows."""
    active = defaultdict[str, set[str]](set)
    for event in history.events:
        if event.kind == "active":
            active[event.queue].add(event.job_id)
        elif event.kind in LEAVES_ACTIVE:
            active[event.queue].discard(event.job_id)
        allowed = history.limits[event.queue].concurrency
        if event.kind == "active" and len(active[event.queue]) > allowed:
            detail = f"{len(active[event.queue])} claims at {event.at}, {allowed} allowed"
            yield Violation(rule="concurrency of claims", subject=_of((event.queue, event.job_id)), detail=detail)


def starts_within_window(history: History) -> Iterator[Violation]:
    """No closed interval of the window's length holds more starts than allowed, wherever it begins."""
    for queue, limits in history.limits.items():
        if limits.max is None:
            continue
        starts = [event for event in history.events if event.queue == queue and event.kind == "active"]
        for first, last in zip(starts, starts[limits.max :], strict=False):
            if last.at - first.at <= limits.per_ms:
                detail = f"{limits.max + 1} starts within {last.at - first.at} ms, from {first.at}"
                yield Violation(rule="window", subject=_of((queue, last.job_id)), detail=detail)


def attempts_as_the_runs_ended(history: History) -> Iterator[Violation]:
    """BullMQ's attempts and final state are what the pods' own ends amount to: a disruption costs none."""
    endings = _endings(history)
    for job in history.added:
        final = history.final.get((job.queue, job.id))
        claims = endings.get((job.queue, job.id), {})
        if final is None or final.state not in ENDS:
            continue  # another rule's matter
        detail = _explain(job, final.state, final.attempts_made, [claims[number] for number in sorted(claims)])
        if detail:
            yield Violation(rule="attempts", subject=_of((job.queue, job.id)), detail=detail)


def operators_live(history: History) -> Iterator[Violation]:
    """No operator ends unless it is killed."""
    for end in history.died:
        yield Violation(rule="operators live", subject="operator", detail=end)


RULES: Final[tuple[Callable[[History], Iterator[Violation]], ...]] = (
    ends_once,
    nothing_lost,
    one_run_per_claim,
    one_run_at_a_time,
    live_pods_within_concurrency,
    claims_within_concurrency,
    starts_within_window,
    attempts_as_the_runs_ended,
    operators_live,
)
RULES_AFTER_LOSSES: Final = (nothing_lost, one_start_per_run, operators_live)


def most_starts(events: list[Event], queue: str, per_ms: int) -> int:
    """The most starts of a queue that any closed interval of that length holds."""
    starts = [event.at for event in events if event.queue == queue and event.kind == "active"]
    return max((sum(first <= at <= first + per_ms for at in starts) for first in starts), default=0)


def most_live_pods(history: History, queue: str) -> int:
    """The most pods of a queue that were alive in any revision."""
    return max((sum(pod.queue == queue for pod in live) for live, _ in _live_pods(history)), default=0)


def _live_pods(history: History) -> Iterator[tuple[list[Change], Change]]:
    """The pods alive after each revision that changed one, and that change."""
    live = dict[str, Change]()
    ordered = sorted((change for change in history.changes if change.kind == "Pod"), key=lambda seen: seen.revision)
    for change in ordered:
        if change.live:
            live[change.uid] = change
        else:
            live.pop(change.uid, None)
        yield list(live.values()), change


def _endings(history: History) -> dict[tuple[str, str], dict[int, set[str]]]:
    """How each claim's run may have ended, by job and claim number: one word, or two when the storm deleted it."""
    pods = defaultdict[str, list[Change]](list)
    found = defaultdict[tuple[str, str], dict[int, set[str]]](dict)
    for change in history.changes:
        if change.kind == "Pod":
            pods[change.run].append(change)
        else:
            found[change.queue, change.job_id].setdefault(change.claim, set())
    for seen in pods.values():
        last = seen[-1]
        ending = next((change.ending for change in reversed(seen) if change.ending), "disrupted")
        may = {ending}
        left_while_live = any(before.live and before.leaving for before, _ in pairwise(seen))
        if last.run in history.touched or left_while_live:
            may.add("disrupted")
        found[last.queue, last.job_id][last.claim] = may
    for claims in found.values():
        for number, may in claims.items():
            claims[number] = may or {"disrupted"}  # a Job that was deleted before it had a pod
    return found


def _explain(job: Added, state: str, attempts: int, endings: list[set[str]]) -> str:
    """What does not fit; empty when BullMQ's record is what these runs amount to."""
    told = " ".join("/".join(sorted(may)) for may in endings)
    least = sum(may <= set(USES_AN_ATTEMPT) for may in endings)
    most = sum(bool(may & set(USES_AN_ATTEMPT)) for may in endings)
    if not least <= attempts <= most:
        return f"{attempts} attempts made, but its runs ended as: {told}"
    last = endings[-1] if endings else set()
    if state == "completed" and "done" not in last:
        return f"completed, but its runs ended as: {told}"
    if state == "failed" and not ("never" in last or ("failed" in last and attempts == job.attempts)):
        return f"failed after {attempts} of {job.attempts} attempts, but its runs ended as: {told}"
    return ""


def _of(key: tuple[str, str]) -> str:
    return f"{key[0]} {key[1]}"
