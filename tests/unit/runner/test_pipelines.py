"""The registry of pipelines."""

import pytest

from paperjobs_runner.errors import PipelineUnknown
from paperjobs_runner.pipelines import PIPELINES, check_pipeline, load_pipeline


def test_every_built_pipeline_can_be_loaded() -> None:
    for name in PIPELINES:
        check_pipeline(name)
        assert callable(load_pipeline(name).run)


def test_an_unknown_pipeline_points_to_the_queues_settings() -> None:
    with pytest.raises(PipelineUnknown, match=r"there is no pipeline 'x'.*PaperQueue"):
        check_pipeline("x")
