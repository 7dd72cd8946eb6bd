"""The contract between the operator and the runner: what goes into a run, and what comes out.

In: environment variables (`Assignment`). Out: an exit code (`ExitCode`) and a JSON termination message (`Report`).
Standard library only, so that both sides import it at no cost; owned by the runner, which never imports the operator.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

TERMINATION_MESSAGE_LIMIT: Final = 4096
"""Bytes the kubelet keeps of a container's termination message (Kubernetes: `terminationMessagePath`)."""

MESSAGE_LIMIT: Final = 1500
"""Characters of a report's message: one sentence for a person, with room for what was found instead."""

PAYLOAD_LIMIT: Final = 32 * 1024
"""Bytes of payload carried in the pod's environment; a larger one is read from the BullMQ job.

One environment string may have 128 KiB (Linux MAX_ARG_STRLEN), and the Job object is written to etcd whole."""

DEFAULT_TERMINATION_LOG: Final = "/dev/termination-log"
"""Where Kubernetes looks for the termination message unless told otherwise."""

QUEUE: Final = "PAPERJOBS_QUEUE"
PREFIX: Final = "PAPERJOBS_PREFIX"
PIPELINE: Final = "PAPERJOBS_PIPELINE"
JOB_ID: Final = "PAPERJOBS_JOB_ID"
JOB_NAME: Final = "PAPERJOBS_JOB_NAME"
RUN: Final = "PAPERJOBS_RUN"
CLAIM: Final = "PAPERJOBS_CLAIM"
ATTEMPT: Final = "PAPERJOBS_ATTEMPT"
PAYLOAD: Final = "PAPERJOBS_PAYLOAD"
TIMEOUT_SECONDS: Final = "PAPERJOBS_TIMEOUT_SECONDS"
TERMINATION_LOG: Final = "PAPERJOBS_TERMINATION_LOG"
BUDGETS: Final = "PAPERJOBS_BUDGETS"

BUDGET_LIMITS: Final = "{paperjobs}:budget-limits"
"""Redis hash: budget name -> `Budget.limit`, as the operator last saw it. What stands here wins over the environment
of a run that has begun, so that an edited limit acts at once."""


class ContractError(ValueError):
    """The environment does not hold a complete assignment."""


class ExitCode(IntEnum):
    """How a run ended. The code decides; the termination message only adds detail."""

    DONE = 0
    """The result is stored."""
    NEVER_AGAIN = 65
    """EX_DATAERR: the input can never succeed (bad payload, unknown paper); no attempt is left, whatever was set."""
    RATE_LIMITED = 69
    """EX_UNAVAILABLE: an external service asks to wait; the job returns to its queue and loses no attempt."""
    TRY_AGAIN = 75
    """EX_TEMPFAIL: a fault that may pass; counts as an attempt and follows BullMQ's backoff."""
    INTERRUPTED = 143
    """128 + SIGTERM: the pod was asked to leave, or a newer run of its job has begun; the job loses no attempt: it
    returns to its queue, unless this run's claim is over already."""


def claim_digest(prefix: str, queue: str, job_id: str, claim: int, token: str) -> str:
    """Twelve hexadecimal digits that tell a claim from any other; the name of its run ends with them.

    The claim number (BullMQ: `ats`) alone would not do: it starts again from 1 when a job is removed and added under
    its old id. The token (BullMQ: `pb`) is of one claim only.
    """
    return digest(prefix, queue, job_id, str(claim), token)


def digest(*parts: str) -> str:
    """Twelve hexadecimal digits that tell these parts from any others."""
    joined = "\x00".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(joined).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A limit on the calls to one external service, over everything that uses the same Redis: at most `max` calls in
    any interval of `per_ms` milliseconds. It has the service's name: arxiv, anthropic, adobe, asana."""

    name: str
    max: int
    per_ms: int

    @property
    def limit(self) -> str:
        """The limit as it stands in the hash `BUDGET_LIMITS`."""
        return f"{self.max}/{self.per_ms}"

    def key(self, part: str) -> str:
        """One of the budget's own keys in Redis. All of them are in one slot of a cluster: `{paperjobs}`."""
        return f"{{paperjobs}}:budget:{self.name}:{part}"


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What one run is to do: the job, which claim of it this is, and the payload as the producer sent it."""

    queue: str
    prefix: str
    pipeline: str
    job_id: str
    job_name: str
    run: str
    """Name of the run: unique for each claim (it ends with `claim_digest`), the name of its Kubernetes Job."""
    claim: int
    """How often the job has been claimed, this time included (BullMQ: attemptsStarted)."""
    attempt: int
    """Which attempt this is, from 1 (BullMQ: attemptsMade + 1)."""
    payload: str | None
    """The job's data as JSON text; None when it is too large for the environment and must be read from the job."""
    timeout_seconds: int
    """The run is killed this long after it started."""
    budgets: tuple[Budget, ...] = ()
    """To be drawn on before each call of the services they are named after."""

    def to_env(self) -> dict[str, str]:
        """The environment variables that carry this assignment. A payload over `PAYLOAD_LIMIT` is left out."""
        env = {
            QUEUE: self.queue,
            PREFIX: self.prefix,
            PIPELINE: self.pipeline,
            JOB_ID: self.job_id,
            JOB_NAME: self.job_name,
            RUN: self.run,
            CLAIM: str(self.claim),
            ATTEMPT: str(self.attempt),
            TIMEOUT_SECONDS: str(self.timeout_seconds),
        }
        if self.payload is not None and len(self.payload.encode("utf-8", "surrogatepass")) <= PAYLOAD_LIMIT:
            env[PAYLOAD] = self.payload
        if self.budgets:
            limits = {budget.name: {"max": budget.max, "perMs": budget.per_ms} for budget in self.budgets}
            env[BUDGETS] = json.dumps(limits, separators=(",", ":"))
        return env

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Assignment:
        """Read an assignment; raises ContractError naming every variable that is missing or not a number."""
        wrong = [name for name in (QUEUE, PREFIX, PIPELINE, JOB_ID, RUN) if not env.get(name)]
        wrong += [name for name in (CLAIM, ATTEMPT, TIMEOUT_SECONDS) if not env.get(name, "").isdecimal()]
        budgets = _budgets(env.get(BUDGETS) or "{}")
        wrong += [BUDGETS] if budgets is None else []
        if wrong:
            raise ContractError(
                f"not set or not valid: {', '.join(wrong)}; the runner is started by the operator, "
                "or by hand with the variables that the README lists"
            )
        return cls(
            queue=env[QUEUE],
            prefix=env[PREFIX],
            pipeline=env[PIPELINE],
            job_id=env[JOB_ID],
            job_name=env.get(JOB_NAME, ""),
            run=env[RUN],
            claim=int(env[CLAIM]),
            attempt=int(env[ATTEMPT]),
            payload=env.get(PAYLOAD),
            timeout_seconds=int(env[TIMEOUT_SECONDS]),
            budgets=budgets or (),
        )


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a run says when it ends, as its termination message."""

    result: Mapping[str, Any] | None = None
    """Small, for BullMQ's returnvalue; the whole result is in the database."""
    error_type: str | None = None
    message: str | None = None
    """One sentence for the person who queued the job. Never a secret, never a traceback."""
    retry_after_ms: int | None = None
    """With RATE_LIMITED: how long the external service asked to wait."""
    budget: str | None = None
    """With RATE_LIMITED: the budget of that service; it is held instead of the queue."""
    budget_held: bool = False
    """The budget is held already (`services/lua/hold_budget.lua`); else the operator does it."""

    def encode(self) -> bytes:
        """JSON of at most `TERMINATION_MESSAGE_LIMIT` bytes: the message is shortened, then the result left out.

        Raises ValueError for a result that is no JSON (NaN, Infinity), TypeError for one that holds other objects.
        """
        fields: dict[str, Any] = {
            "result": self.result,
            "errorType": self.error_type,
            "message": self.message,
            "retryAfterMs": self.retry_after_ms,
            "budget": self.budget,
            "budgetHeld": self.budget_held or None,
        }
        fields = {name: value for name, value in fields.items() if value is not None}
        if self.message is not None:
            fields["message"] = _cut(self.message, MESSAGE_LIMIT)
        if self.error_type is not None:
            fields["errorType"] = _cut(self.error_type, 100)
        encoded = _compact(fields)
        if len(encoded) > TERMINATION_MESSAGE_LIMIT:
            # Half of the room for the message (JSON writes a character as up to twelve bytes), half for the result.
            fields["message"] = _cut(self.message or "", TERMINATION_MESSAGE_LIMIT // 2 // 12)
            encoded = _compact(fields)
        if len(encoded) > TERMINATION_MESSAGE_LIMIT:
            encoded = _compact(fields | {"result": {"truncated": True}})
        return encoded

    @classmethod
    def decode(cls, text: str) -> Report | None:
        """Read a termination message; None when it is not one of ours (a crash, a foreign image)."""
        try:
            fields = json.loads(text, parse_constant=_no_json)
        except (ValueError, RecursionError):
            return None
        if not isinstance(fields, dict):
            return None
        result, retry_after = fields.get("result"), fields.get("retryAfterMs")
        return cls(
            result=result if isinstance(result, dict) else None,
            error_type=_text(fields.get("errorType")),
            message=_text(fields.get("message")),
            budget=_text(fields.get("budget")),
            budget_held=fields.get("budgetHeld") is True,
            retry_after_ms=retry_after if type(retry_after) is int and retry_after >= 0 else None,
        )


def _budgets(text: str) -> tuple[Budget, ...] | None:
    """The budgets in an environment variable; None when it does not hold any."""
    try:
        limits = json.loads(text).items()
        return tuple(Budget(name=name, max=_above_0(it["max"]), per_ms=_above_0(it["perMs"])) for name, it in limits)
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
        return None


def _above_0(number: object) -> int:
    if type(number) is not int or number <= 0:
        raise ValueError
    return number


def _compact(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length] + " … (shortened)"


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
