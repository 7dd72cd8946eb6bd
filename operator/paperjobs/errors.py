"""Everything PaperJobs raises on purpose. The docstring is the default message."""

from __future__ import annotations


class PaperJobsError(Exception):
    """Something in PaperJobs went wrong."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class SettingsError(PaperJobsError):
    """Settings are wrong; the message lists every one of them."""


class RedisUnavailable(PaperJobsError):
    """Redis cannot be asked right now."""


class NoLongerLeading(PaperJobsError):
    """Another replica leads now; this one starts nothing."""


class RedisRefused(PaperJobsError):
    """Redis answers, but its script fails on this one job: its hash was not written by BullMQ."""


class ClusterUnavailable(PaperJobsError):
    """The cluster cannot be asked right now."""


class PaperJobDeleted(PaperJobsError):
    """The PaperJob of a job made with kubectl was deleted while the job waited."""


class LaunchRefused(PaperJobsError):
    """The run cannot be launched as it is; the message is the API server's, or the operating system's."""
