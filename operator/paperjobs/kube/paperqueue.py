"""A `PaperQueue` object: its spec as the engine's settings, and the engine's status as what people see.

The API server has checked the spec against the CRD; it is read with the same care all the same, since the CRD in the
cluster may be older than this code.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from paperjobs.assignment import RESERVED
from paperjobs.errors import PaperJobsError
from paperjobs.kube.conditions import condition
from paperjobs.kube.duration import format_duration, parse_duration
from paperjobs.kube.timestamps import time_of_day, to_text
from paperjobs.model import Backoff, BackoffType, Budget, QueueSettings, QueueStatus, RateLimit, RunnerTemplate

Json = Mapping[str, Any]

DAY_MS: Final = 86_400_000
"""The longest interval, delay or timeout: a longer one is a slip of the pen."""


NO_BUDGETS: Final[Mapping[str, Budget]] = MappingProxyType({})


class WrongSpec(PaperJobsError):
    """The object's spec is wrong; the message names every field and its remedy."""


class BudgetMissing(PaperJobsError):
    """The PaperQueue names an ApiBudget that does not exist."""


def wrong_fields(error: ValidationError) -> str:
    """Every wrong field of a spec, with its remedy."""
    return "; ".join(
        f"spec.{'.'.join(map(str, detail['loc']))}: {detail['msg'].removeprefix('Value error, ')}"
        for detail in error.errors(include_url=False, include_input=False)
    )


def _milliseconds(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("it must be a duration such as 500ms, 60s, 1m or 1h30m")
    return parse_duration(value)


def _not_reserved(value: object) -> object:
    if isinstance(value, dict) and value.get("name") in RESERVED:
        raise ValueError(f"{value['name']} is one of the variables that hold the job and cannot be set here")
    return value


Duration = Annotated[int, BeforeValidator(_milliseconds)]
Variable = Annotated[dict[str, Any], BeforeValidator(_not_reserved)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel)


class _RateLimit(_Part):
    max: int = Field(ge=1, le=10_000)
    per: Duration = Field(ge=1, le=DAY_MS)


class _Backoff(_Part):
    type: BackoffType = BackoffType.EXPONENTIAL
    delay: Duration = Field(ge=0, le=DAY_MS)
    jitter: float = Field(0.0, ge=0, le=1)


class _Retry(_Part):
    attempts: int = Field(1, ge=1, le=100)
    backoff: _Backoff | None = None
    disruptions: int = Field(10, ge=0, le=1000)


class _History(_Part):
    completed: int = Field(100, ge=0)
    failed: int = Field(200, ge=0)


class _Runner(_Part):
    image: str | None = None
    image_pull_policy: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    service_account_name: str | None = None
    resources: dict[str, Any] = {}
    node_selector: dict[str, str] = {}
    tolerations: tuple[dict[str, Any], ...] = ()
    priority_class_name: str | None = None
    env: tuple[Variable, ...] = ()
    env_from: tuple[dict[str, Any], ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Spec(_Part):
    queue: str = Field(min_length=1)
    prefix: str = Field("bull", min_length=1)
    pipeline: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)
    concurrency: int = Field(1, ge=0, le=1000)
    rate_limit: _RateLimit | None = None
    budgets: tuple[str, ...] = ()
    retry: _Retry = _Retry()
    timeout: Duration = Field(600_000, ge=1000, le=DAY_MS)
    start_timeout: Duration = Field(1_800_000, ge=1000, le=DAY_MS)
    image_grace: Duration = Field(180_000, ge=1000, le=DAY_MS)
    suspend: bool = False
    history: _History = _History()
    runner: _Runner = _Runner()


def queue_settings(body: Json, default_image: str, budgets: Mapping[str, Budget] = NO_BUDGETS) -> QueueSettings:
    """The settings in a PaperQueue; raises WrongSpec that names every wrong field, or BudgetMissing when one of its
    budgets is not among `budgets`, which are those that exist, by name."""
    try:
        spec = _Spec.model_validate(body.get("spec") or {})
    except ValidationError as error:
        raise WrongSpec(wrong_fields(error)) from None
    if missing := [name for name in spec.budgets if name not in budgets]:
        raise BudgetMissing(f"there is no ApiBudget {', '.join(missing)}; create it, or take it out of spec.budgets")
    limit, backoff, runner = spec.rate_limit, spec.retry.backoff, spec.runner
    return QueueSettings(
        name=body["metadata"]["name"],
        queue=spec.queue,
        prefix=spec.prefix,
        pipeline=spec.pipeline,
        concurrency=spec.concurrency,
        rate_limit=RateLimit(max=limit.max, per_ms=limit.per) if limit else None,
        budgets=tuple(budgets[name] for name in spec.budgets),
        attempts=spec.retry.attempts,
        backoff=Backoff(type=backoff.type, delay_ms=backoff.delay, jitter=backoff.jitter) if backoff else None,
        disruptions=spec.retry.disruptions,
        timeout_s=_seconds(spec.timeout),
        start_timeout_s=_seconds(spec.start_timeout),
        image_grace_s=_seconds(spec.image_grace),
        suspend=spec.suspend,
        keep_completed=spec.history.completed,
        keep_failed=spec.history.failed,
        template=RunnerTemplate(
            image=runner.image or default_image,
            image_pull_policy=runner.image_pull_policy,
            image_pull_secrets=runner.image_pull_secrets,
            service_account=runner.service_account_name,
            resources=runner.resources,
            env=runner.env,
            env_from=runner.env_from,
            node_selector=runner.node_selector,
            tolerations=runner.tolerations,
            priority_class=runner.priority_class_name,
            labels=runner.labels,
            annotations=runner.annotations,
        ),
    )


def _seconds(milliseconds: int) -> int:
    """Rounded up: a limit is never shorter than it was set."""
    return -(-milliseconds // 1000)


def served_status(body: Json, status: QueueStatus, now: int) -> dict[str, Any]:
    """The status of a PaperQueue that is served; `body` is the object as last seen, `now` Unix ms.

    It is not Ready while the cluster refuses its runs: that is for a person to mend."""
    limit, next_start, counts = status.rate_limit, status.next_start_at, status.counts
    return {
        "observedGeneration": body["metadata"].get("generation", 0),
        "active": f"{status.live}/{status.concurrency}",
        "rate": f"{status.window_used}/{limit.max} per {format_duration(limit.per_ms)}" if limit else "unlimited",
        "next": time_of_day(next_start) if next_start else None,
        "nextStartAt": to_text(next_start) if next_start else None,
        "live": status.live,
        "concurrency": status.concurrency,
        "windowUsed": status.window_used,
        "waiting": counts.waiting,
        "delayed": counts.delayed,
        "completed": counts.completed,
        "failed": counts.failed,
        "waitingChildren": counts.waiting_children,
        "foreign": status.foreign,
        "reason": status.reason or None,
        "message": status.message or None,
        "conditions": [
            _ready(body, status, now),
            *_warnings(body, status, now),
        ],
    }


def _warnings(body: Json, status: QueueStatus, now: int) -> list[dict[str, Any]]:
    if status.foreign == 0:
        return []
    message = (
        f"{status.foreign} active jobs are held by workers that are not this PaperJobs; they take slots, and their "
        "runs cannot be watched: stop the BullMQ workers of this queue"
    )
    return [condition(body, "ForeignWorkers", holds=True, reason="JobsHeld", message=message, now=now)]


def _ready(body: Json, status: QueueStatus, now: int) -> dict[str, Any]:
    if status.refused:
        return condition(body, "Ready", holds=False, reason=status.reason, message=status.message, now=now)
    return condition(body, "Ready", holds=True, reason="Served", message="the operator serves this queue", now=now)


def refused_status(body: Json, reason: str, message: str, now: int) -> dict[str, Any]:
    """The status of a PaperQueue that is not served: wrong, or in conflict with an older one."""
    return {
        "observedGeneration": body["metadata"].get("generation", 0),
        "reason": reason,
        "message": message,
        **dict.fromkeys(("active", "rate", "next", "nextStartAt", "waiting", "delayed", "failed")),
        "conditions": [condition(body, "Ready", holds=False, reason=reason, message=message, now=now)],
    }
