"""The registry of pipelines."""

import pytest

from paperjobs_runner.errors import PipelineUnknown
from paperjobs_runner.pipelines import PIPELINES, PLANNED, check_pipeline, load_pipeline


def test_every_built_pipeline_can_be_loaded() -> None:
    for name in PIPELINES:
        check_pipeline(name)
        assert callable(load_pipeline(name).run)


@pytest.mark.parametrize("name", sorted(PLANNED))
def test_a_planned_pipeline_says_that_it_is_not_built_yet(name: str) -> None:
    with pytest.raises(PipelineUnknown, match="planned but not built yet; built: auto-tagging, institution-extraction"):
        check_pipeline(name)


def test_an_unknown_pipeline_points_to_the_queues_settings() -> None:
    with pytest.raises(PipelineUnknown, match=r"there is no pipeline 'x'.*PaperQueue"):
        check_pipeline("x")
