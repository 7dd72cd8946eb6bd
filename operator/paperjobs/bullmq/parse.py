"""What Redis answers, as values of the model. Producers write these fields: anything may stand in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from paperjobs.model import ActiveJob, CancelRequest, Claim, Counts, Job, JobPhase, JobState, LockState, QueueState

TOKEN_PREFIX: Final = "paperjobs:"
"""Starts every lock token of PaperJobs, and so every `pb` field that it sets."""

MAX_SAFE_INTEGER: Final = 2**53 - 1
"""Larger whole numbers are not told apart by BullMQ and its scripts."""

_SHORT_OPTIONS: Final = {
    "fpof": "failParentOnFailure",
    "cpof": "continueParentOnFailure",
    "idof": "ignoreDependencyOnFailure",
    "rdof": "removeDependencyOnFailure",
    "kl": "keepLogs",
    "de": "deduplication",
}
"""BullMQ's short names in a stored job's options (npm: optsDecodeMap)."""

_PHASES: Final = {
    "active": JobPhase.RUNNING,
    "delayed": JobPhase.DELAYED,
    "completed": JobPhase.COMPLETED,
    "failed": JobPhase.FAILED,
    "waiting": JobPhase.WAITING,
}


def token_prefix(installation: str) -> str:
    """What the lock tokens of one installation start with."""
    return f"{TOKEN_PREFIX}{installation}:"


def number(text: object) -> int:
    """A whole number, not negative, at most what JavaScript counts to; 0 for anything else."""
    if isinstance(text, bool) or not isinstance(text, (int, float, str)):
        return 0
    try:
        return min(max(0, int(float(text))), MAX_SAFE_INTEGER)
    except (ValueError, OverflowError):
        return 0


def is_count(text: str | None) -> bool:
    """Whether Redis can count on from this value of a field."""
    return text is None or (len(text) <= 15 and text.removeprefix("-").isascii() and text.removeprefix("-").isdigit())


def options(text: str | None) -> dict[str, Any]:
    """A job's options under their long names; empty when they are no JSON object."""
    stored = data(text)
    if not isinstance(stored, dict):
        return {}
    named: dict[str, Any] = {_SHORT_OPTIONS.get(str(name), str(name)): value for name, value in stored.items()}
    for name in ("removeOnComplete", "removeOnFail"):
        if name in named:
            named[name] = keep_jobs(named[name])
    return named


def keep_jobs(option: object) -> bool | int | dict[str, int]:
    """removeOnComplete or removeOnFail: true, a count, or {count, age, limit}; anything else keeps the job.

    BullMQ's script fails on other types, and the job would stay active for ever.
    """
    if isinstance(option, (bool, int)):
        return option
    if isinstance(option, float):
        return number(option)
    if isinstance(option, dict):
        return {name: int(option[name]) for name in ("count", "age", "limit") if isinstance(option.get(name), int)}
    return False


def data(text: str | None) -> Any:
    """JSON that a producer wrote; None when it is none."""
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return None


def utf8(text: str) -> str:
    """The text without lone surrogates, which Redis cannot be sent; each becomes U+FFFD, as with npm."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def stacktrace(stored: str | None, newest: str, opts: Mapping[str, Any]) -> list[str]:
    """The stack traces of all attempts with the newest last, cut to the option stackTraceLimit as BullMQ does."""
    earlier = data(stored)
    traces = [*(earlier if isinstance(earlier, list) else []), newest]
    limit = opts.get("stackTraceLimit")
    if isinstance(limit, int) and not isinstance(limit, bool):
        return traces[-limit:] if limit > 0 else []
    return traces


def job(job_id: str, fields: Mapping[str, str], installation: str) -> Job:
    """A claimed job from its hash."""
    claims = number(fields.get("ats"))
    launched = fields.get("pjl", "")
    # A launch of the claim just before this one: no other worker and no retry by hand came in between.
    before = launched.startswith(token_prefix(installation)) and launched.endswith(f":{claims - 1}")
    return Job(
        id=job_id,
        name=fields.get("name", ""),
        claim=Claim(number=claims, token=fields.get("pb", "")),
        attempts_made=number(fields.get("atm") or fields.get("attemptsMade")),
        data=fields.get("data", ""),
        launched_before=before,
        deferred_failure=fields.get("defa") or None,
    )


def queue_state(answer: list[Any], installation: str) -> QueueState:
    """The answer of observe.lua; its header says what stands where."""
    now, paused, counts, next_delayed, used, opens, held, concurrency, jobs, server, cancels = answer
    waiting, delayed, active, completed, failed, children = counts
    return QueueState(
        now=int(now),
        paused=bool(paused),
        counts=Counts(
            waiting=waiting,
            delayed=delayed,
            active=active,
            completed=completed,
            failed=failed,
            waiting_children=children,
        ),
        next_delayed_at=_time(next_delayed),
        window_used=used,
        window_opens_at=_time(opens),
        held_until=_time(held),
        app_concurrency=number(concurrency) if concurrency else None,
        active=tuple(_active(entry, token_prefix(installation)) for entry in jobs),
        server=server,
        cancels=tuple(
            CancelRequest(job_id=job_id, message=request.partition(" ")[2])
            for job_id, request in zip(cancels[::2], cancels[1::2], strict=True)
        ),
    )


def _active(entry: list[str], own_tokens: str) -> ActiveJob:
    job_id, claims, processed_by, lock, launched, made, progress = entry
    ours = processed_by.startswith(own_tokens)
    if ours and lock in ("", processed_by):
        state = LockState.OURS if lock else LockState.LOST
    else:
        state = LockState.FOREIGN if lock else LockState.ABANDONED
    return ActiveJob(
        id=job_id,
        claim=Claim(number=number(claims), token=processed_by),
        lock=state,
        launched=ours and launched == f"{processed_by}:{claims}",
        attempts_made=number(made),
        progress=progress or None,
    )


def job_state(entry: list[str]) -> JobState:
    """One entry of the answer of states.lua."""
    state, made, progress, failed_reason, returnvalue, finished, due = entry
    return JobState(
        phase=_PHASES[state] if state else None,
        attempts_made=number(made),
        progress=progress or None,
        failed_reason=failed_reason,
        returnvalue=returnvalue or None,
        finished_at=number(finished) or None,
        not_before=number(due) or None,
    )


def _time(text: str) -> int | None:
    value = int(text)
    return value if value >= 0 else None
