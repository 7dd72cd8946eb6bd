"""A `PaperJob` object: made for a claimed job, read as the engine's view, and its status.

What a producer wrote is untrusted: it is shown cut to a bounded length and without control characters, and a payload
that does not look like a job about a paper is shown as far as it goes. The engine works with the job itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from paperjobs.kube.conditions import condition
from paperjobs.kube.duration import parse_duration
from paperjobs.kube.names import (
    API_VERSION,
    HAND_MADE_PREFIX,
    MANAGED_BY,
    MANAGER,
    ORIGIN_LABEL,
    ORIGIN_REDIS,
    QUEUE_KEY_LABEL,
    QUEUE_LABEL,
)
from paperjobs.kube.text import bounded_id, shown
from paperjobs.kube.timestamps import from_text, to_text
from paperjobs.model import (
    Backoff,
    BackoffType,
    EnqueueOptions,
    Job,
    JobPhase,
    JobStatus,
    PaperJobView,
    QueueSettings,
    paperjob_name,
)

Json = Mapping[str, Any]

_SUMMARY: Final = {"paperId": 200, "arxivUrl": 2048}
"""What is shown of a payload, and in how many characters (crds/paperjob.yaml)."""

MESSAGE_LIMIT: Final = 4096
"""Characters of a status message: a failedReason comes from a termination message of that many bytes."""

PROGRESS_LIMIT: Final = 100
"""Characters of progress: it is one column among others."""

RESULT_LIMIT: Final = 8192
"""Characters of result as JSON: BullMQ's returnvalue is small by contract; anything larger is not ours."""


def paperjob_manifest(settings: QueueSettings, job: Job) -> dict[str, Any]:
    """The PaperJob that shows a job from Redis."""
    return {
        "apiVersion": API_VERSION,
        "kind": "PaperJob",
        "metadata": {
            "name": paperjob_name(settings, job.id),
            "labels": {
                MANAGED_BY: MANAGER,
                QUEUE_LABEL: settings.name,
                QUEUE_KEY_LABEL: settings.key,
                ORIGIN_LABEL: ORIGIN_REDIS,
            },
        },
        "spec": {"queue": settings.name, "jobId": bounded_id(job.id), **_summary(job)},
    }


def made_by_hand(body: Json) -> bool:
    """Whether a person made it; the operator's own name the job that they show."""
    return "jobId" not in body["spec"]


def queue_key(body: Json) -> str:
    """The key of the queue for which the operator says to have made it; empty when somebody else made it."""
    labels = body["metadata"].get("labels") or {}
    return str(labels.get(QUEUE_KEY_LABEL, "")) if labels.get(ORIGIN_LABEL) == ORIGIN_REDIS else ""


def is_of(body: Json, settings: QueueSettings) -> bool:
    """Whether the operator made it to show a job of that queue; its name proves what its labels say."""
    named = not made_by_hand(body) and body["metadata"]["name"] == paperjob_name(settings, job_id(body))
    return named and queue_key(body) == settings.key


def is_final(body: Json) -> bool:
    """Whether its status says that the job has ended."""
    status = _status(body)
    return status is not None and status.phase.final


def has_summary_of(body: Json, job: Job) -> bool:
    """Whether it shows the same paper as the job."""
    return {name: body["spec"][name] for name in _SUMMARY if name in body["spec"]} == _summary(job)


def job_id(body: Json) -> str:
    """The id of the BullMQ job: from the object's uid when it was made by hand."""
    spec_id = body["spec"].get("jobId")
    return str(spec_id) if spec_id is not None else HAND_MADE_PREFIX + str(body["metadata"]["uid"])


def paperjob_view(body: Json) -> PaperJobView:
    """A PaperJob as the engine sees it. A status without a job's id is only a note of ours: the engine does not know
    the PaperJob yet."""
    status = _status(body)
    if status is not None and not status.job_id:
        status = None
    return PaperJobView(
        name=body["metadata"]["name"],
        job_id=job_id(body),
        made_by_hand=made_by_hand(body),
        status=status,
        data=_data(body["spec"]) if made_by_hand(body) else "{}",
        options=_options(body) if made_by_hand(body) else EnqueueOptions(),
        finished_at=status.finished_at if status is not None else None,
    )


def stray_status(body: Json, now: int) -> dict[str, Any]:
    """The status of one that a person made for a PaperQueue that is not there, or is not served."""
    message = f"no PaperQueue {body['spec']['queue']} is served; see kubectl get paperqueues"
    known = _status(body)
    enqueued_as = known.job_id if known is not None else ""
    status = JobStatus(phase=JobPhase.WAITING, job_id=enqueued_as, reason="NoQueue", message=message)
    return paperjob_status(body, status, now)


def usurper_status(body: Json, now: int) -> dict[str, Any]:
    """The status of one that a person made as if it showed a job of the web app."""
    message = "leave out spec.jobId, which only the operator sets; delete this PaperJob and make another without it"
    status = JobStatus(phase=JobPhase.FAILED, job_id="", reason="WrongSpec", message=message)
    return paperjob_status(body, status, now)


def paperjob_status(body: Json, status: JobStatus, now: int) -> dict[str, Any]:
    """The status as the API server stores it; null removes what an earlier status said. `now` in Unix ms."""
    result = status.result
    if result is not None and len(json.dumps(result)) > RESULT_LIMIT:
        result = {"truncated": True}
    written: dict[str, Any] = {
        "phase": status.phase.value,
        "jobId": bounded_id(status.job_id) or None,
        "attempt": status.attempt,
        "progress": shown(status.progress or "", PROGRESS_LIMIT) or None,
        "reason": shown(status.reason, PROGRESS_LIMIT) or None,
        "message": shown(status.message, MESSAGE_LIMIT) or None,
        "run": status.run,
        "startedAt": _instant(status.started_at),
        "finishedAt": _instant(status.finished_at),
        "notBefore": _instant(status.not_before),
        "result": result,
        "conditions": None,
    }
    if status.phase.final:
        written["conditions"] = [
            condition(
                body,
                kind,
                holds=status.phase is phase,
                reason=written["reason"] or status.phase.value,
                message=written["message"] or "",
                now=status.finished_at or now,
            )
            for kind, phase in (("Complete", JobPhase.COMPLETED), ("Failed", JobPhase.FAILED))
        ]
    return written


def _status(body: Json) -> JobStatus | None:
    status = body.get("status") or {}
    try:
        phase = JobPhase(str(status.get("phase")))
    except ValueError:
        return None
    return JobStatus(
        phase=phase,
        job_id=status.get("jobId", ""),
        attempt=status.get("attempt"),
        progress=status.get("progress"),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        run=status.get("run"),
        started_at=from_text(status.get("startedAt")),
        finished_at=from_text(status.get("finishedAt")),
        not_before=from_text(status.get("notBefore")),
        result=status.get("result"),
    )


def _data(spec: Json) -> str:
    """The payload that a person's PaperJob puts into the queue: what the web app would have sent."""
    return json.dumps({name: spec[name] for name in ("paperId", "arxivUrl", "options") if name in spec})


def _options(body: Json) -> EnqueueOptions:
    """How a person wants the job enqueued. The API server has checked it (crds/paperjob.yaml)."""
    spec = body["spec"]
    created = from_text(body["metadata"].get("creationTimestamp"))
    not_before = None
    if "delay" in spec and created is not None:
        # Creation times are cut to the second: one more, and it is never too early.
        not_before = created + 1000 + parse_duration(spec["delay"])
    backoff = None
    if "backoff" in spec:
        given = spec["backoff"]
        backoff = Backoff(
            type=BackoffType(given.get("type", BackoffType.EXPONENTIAL)),
            delay_ms=parse_duration(given["delay"]),
            jitter=float(given.get("jitter", 0)),
        )
    return EnqueueOptions(
        not_before=not_before,
        priority=int(spec.get("priority", 0)),
        attempts=int(spec.get("attempts", 0)),
        backoff=backoff,
    )


def _summary(job: Job) -> dict[str, str]:
    payload, summary = _payload(job.data), {}
    for name, limit in _SUMMARY.items():
        value = payload.get(name)
        text = shown(str(value), limit) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if text:
            summary[name] = text
    return summary


def _payload(data: str) -> Mapping[str, Any]:
    try:
        payload = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}


def _instant(milliseconds: int | None) -> str | None:
    return to_text(milliseconds) if milliseconds is not None else None
