"""The names by which objects of ours are known in a cluster: group, labels, annotations."""

from __future__ import annotations

import re
from typing import Final

GROUP: Final = "paperjobs.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "paperjobs"
SELECTOR: Final = f"{MANAGED_BY}={MANAGER}"
"""Finds every Job and Pod of this installation; one operator serves one namespace."""

QUEUE_LABEL: Final = f"{GROUP}/queue"
"""Name of the PaperQueue (at most 63 characters: crds/paperqueue.yaml), for people; on runs, pods and PaperJobs of
claimed jobs. Nothing is found by it: another PaperQueue may take the queue over."""

QUEUE_KEY_LABEL: Final = f"{GROUP}/queue-key"
"""`QueueSettings.key`: runs and PaperJobs of claimed jobs are found by it, whichever PaperQueue serves their queue."""

PIPELINE_LABEL: Final = f"{GROUP}/pipeline"

ORIGIN_LABEL: Final = f"{GROUP}/origin"
ORIGIN_REDIS: Final = "redis"
"""On PaperJobs that the operator made to show a job from Redis; those made by hand do not have it. The name tells them
too (`paperjob_name`): labels can be copied."""

JOB_ID: Final = f"{GROUP}/job-id"
"""Annotation: the BullMQ job's id, untrusted text."""

CLAIM: Final = f"{GROUP}/claim"
ATTEMPT: Final = f"{GROUP}/attempt"

TIME_LIMITS: Final = f"{GROUP}/time-limits"
VERDICT: Final = f"{GROUP}/verdict"
"""Annotations of a run's Job; verdict.py reads and writes them."""
TOKEN: Final = f"{GROUP}/token"
"""Annotation: the lock token of the run's claim, under which its start is counted in the window."""

JOB_NAME_LABEL: Final = "batch.kubernetes.io/job-name"
"""Kubernetes' own label on a Job's pods."""

HAND_MADE_PREFIX: Final = "pj-"
"""The job id of a PaperJob made with kubectl is this and the object's uid."""

HAND_MADE: Final = re.compile(HAND_MADE_PREFIX + r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
