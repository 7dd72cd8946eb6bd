"""The pipelines, by the name that a queue's settings carry. Each is imported only when a job asks for it.

A pipeline is a module with `run(context: RunContext) -> Mapping[str, Any]`: it returns the small result that becomes
the job's return value, and raises one of `errors.py` otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from paperjobs_runner.errors import PipelineUnknown

if TYPE_CHECKING:
    from paperjobs_runner.pipelines.context import RunContext

PIPELINES: Final[Mapping[str, str]] = {
    "institution-extraction": "paperjobs_runner.pipelines.institution_extraction.pipeline",
    "author-extraction": "paperjobs_runner.pipelines.author_extraction.pipeline",
    "auto-tagging": "paperjobs_runner.pipelines.auto_tagging.pipeline",
    "llm-processing": "paperjobs_runner.pipelines.llm_processing.pipeline",
}
"""Module of each pipeline."""


class Pipeline(Protocol):
    """What a pipeline's module offers."""

    def run(self, context: RunContext) -> Mapping[str, Any]:
        """Do the job; returns its small result."""


def check_pipeline(name: str) -> None:
    """Raise PipelineUnknown unless there is a pipeline of that name."""
    if name in PIPELINES:
        return
    built = ", ".join(sorted(PIPELINES))
    raise PipelineUnknown(f"there is no pipeline {name[:80]!r}; built: {built}; correct the queue's PaperQueue")


def load_pipeline(name: str) -> Pipeline:
    """Import a pipeline that `check_pipeline` accepts."""
    return cast(Pipeline, import_module(PIPELINES[name]))
