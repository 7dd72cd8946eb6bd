"""The Kubernetes Job of a run: one pod, one try, no rights, and the job's data in nothing but environment variables.

`restartPolicy: Never` and `backoffLimit: 0` leave retries to BullMQ; `podReplacementPolicy: Failed` keeps a second pod
from starting beside one that still ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from paperjobs.assignment import RESERVED, assignment
from paperjobs.kube import names
from paperjobs.kube.text import bounded_id
from paperjobs.kube.verdict import limits_text
from paperjobs.model import TERMINATION_GRACE_S, Job, QueueSettings
from paperjobs_runner.contract import Assignment

USER: Final = 10001
"""Numeric, so that the kubelet can check runAsNonRoot; above the ids of any distribution's own users."""

KEEP_ENDED_SECONDS: Final = 7 * 24 * 3600
"""How long an ended Job may stay: longer than an operator is ever away, since an unread outcome is lost with it. This
is the last resort: the history limits delete PaperJobs, and with them their Jobs, much sooner."""

TMP_LIMIT: Final = "1Gi"
"""Size of /tmp: the largest arXiv PDFs have 100 MB."""

DEFAULT_RESOURCES: Final = {
    "requests": {"cpu": "100m", "memory": "256Mi"},
    "limits": {"memory": "1Gi"},
}
"""For queues that set none. No CPU limit: it would only make a run slower; memory must have an end."""

LONGEST_PULL_S: Final = 600
"""The kubelet counts a pod's activeDeadlineSeconds from its arrival on the node, so pulling the image must fit in as
well. This deadline matters when no operator is there to end a run in time."""

CONTAINER: Final = "runner"
"""The container's name; what it runs is the image's own entrypoint."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The PaperJob that a run belongs to: deleting it deletes the run."""

    name: str
    uid: str


def job_manifest(settings: QueueSettings, job: Job, name: str, owner: Owner) -> dict[str, Any]:
    """The Job object of a run of `job`."""
    shared = {"labels": _labels(settings), "annotations": _annotations(settings, job)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": shared["labels"],
            "annotations": {**shared["annotations"], names.TIME_LIMITS: limits_text(settings.time_limits)},
            "ownerReferences": [_reference(owner)],
        },
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            # The last resort: the operator itself ends a run in time.
            "activeDeadlineSeconds": settings.longest_run_s,
            "ttlSecondsAfterFinished": KEEP_ENDED_SECONDS,
            "template": {
                "metadata": shared,
                "spec": _pod(settings, assignment(settings, job, name)),
            },
        },
    }


def _labels(settings: QueueSettings) -> dict[str, str]:
    return {
        **settings.template.labels,
        "app.kubernetes.io/name": "paperjobs-runner",
        names.MANAGED_BY: names.MANAGER,
        names.QUEUE_LABEL: settings.name,
        names.QUEUE_KEY_LABEL: settings.key,
        names.PIPELINE_LABEL: settings.pipeline,
    }


def _annotations(settings: QueueSettings, job: Job) -> dict[str, str]:
    return {
        **settings.template.annotations,
        names.JOB_ID: bounded_id(job.id),
        names.CLAIM: str(job.claim.number),
        names.ATTEMPT: str(job.attempts_made + 1),
        names.TOKEN: job.claim.token,
    }


def _reference(owner: Owner) -> dict[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": "PaperJob",
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
    }


def _pod(settings: QueueSettings, task: Assignment) -> dict[str, Any]:
    template = settings.template
    optional = {
        "serviceAccountName": template.service_account,
        "nodeSelector": dict(template.node_selector),
        "tolerations": [dict(toleration) for toleration in template.tolerations],
        "priorityClassName": template.priority_class,
        "imagePullSecrets": [{"name": secret} for secret in template.image_pull_secrets],
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "activeDeadlineSeconds": settings.timeout_s + min(settings.start_timeout_s, LONGEST_PULL_S),
        "terminationGracePeriodSeconds": TERMINATION_GRACE_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(settings, task)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": TMP_LIMIT}}],
        **{name: value for name, value in optional.items() if value},
    }


def _container(settings: QueueSettings, task: Assignment) -> dict[str, Any]:
    template = settings.template
    optional = {
        "imagePullPolicy": template.image_pull_policy,
        "envFrom": [dict(source) for source in template.env_from],
    }
    return {
        "name": CONTAINER,
        "image": template.image,
        "env": _environment(settings, task),
        "resources": dict(template.resources) or DEFAULT_RESOURCES,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
        **{name: value for name, value in optional.items() if value},
    }


def _environment(settings: QueueSettings, task: Assignment) -> list[dict[str, Any]]:
    """The assignment first, then HOME (libraries keep caches there), then what the infra team sets."""
    ours = [{"name": name, "value": literal(value)} for name, value in task.to_env().items()]
    theirs = [dict(variable) for variable in settings.template.env if variable["name"] not in RESERVED]
    home = [] if any(variable["name"] == "HOME" for variable in theirs) else [{"name": "HOME", "value": "/tmp"}]  # noqa: S108
    return [*ours, *home, *theirs]


def literal(value: str) -> str:
    """An env value that Kubernetes hands on unchanged.

    Kubernetes reads `$(NAME)` as a reference and `$$` as one `$`, wherever it stands (expansion.Expand); with every
    `$` doubled neither can be found in untrusted text.
    """
    return value.replace("$", "$$")
