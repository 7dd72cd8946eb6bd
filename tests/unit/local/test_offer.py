"""Which queues `paperjobs local` serves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from paperjobs.errors import SettingsError
from paperjobs.kube.apibudget import api_budget
from paperjobs.local.offer import NO_IMAGE, read_queues, served_queues
from paperjobs.model import Budget, RunnerTemplate
from paperjobs.seed import SEED_BUDGETS, SEED_QUEUES

CRDS = Path(__file__).parents[3] / "crds"

QUEUE = """
kind: PaperQueue
metadata: {name: papers}
spec: {queue: papers, pipeline: institution-extraction, concurrency: 4}
"""


def test_the_seed_queues_are_those_of_the_ready_to_apply_objects() -> None:
    files = sorted((CRDS / "queues").glob("*.yaml"))

    applied = [replace(queue, template=RunnerTemplate()) for file in files for queue in read_queues(file)]

    assert sorted(applied, key=lambda queue: queue.name) == sorted(SEED_QUEUES, key=lambda queue: queue.name)


def test_the_seed_budgets_are_those_of_the_ready_to_apply_objects() -> None:
    applied = [api_budget(yaml.safe_load(file.read_text())) for file in (CRDS / "budgets").glob("*.yaml")]

    assert {budget.name: budget for budget in applied} == SEED_BUDGETS


def test_a_budget_of_the_file_takes_the_place_of_the_seeds(tmp_path: Path) -> None:
    file = tmp_path / "queues.yaml"
    budget = "kind: ApiBudget\nmetadata: {name: arxiv}\nspec: {limit: {max: 1, per: 9s}}"
    file.write_text(QUEUE.replace("concurrency: 4", "budgets: [arxiv, anthropic]") + f"---\n{budget}")

    [queue] = read_queues(file)

    assert queue.budgets == (Budget(name="arxiv", max=1, per_ms=9_000), SEED_BUDGETS["anthropic"])


def test_a_queue_without_a_built_pipeline_is_left_alone_and_said_so() -> None:
    said: list[str] = []

    served = served_queues(None, said.append)

    assert "institution-extraction" in [queue.queue for queue in served]
    left_alone = [queue.queue for queue in SEED_QUEUES if queue not in served]
    assert all(queue in " ".join(said) for queue in left_alone)


def test_a_file_takes_the_place_of_the_seed(tmp_path: Path) -> None:
    file = tmp_path / "queues.yaml"
    file.write_text(f"kind: ConfigMap\n---\n{QUEUE}")

    [queue] = served_queues(file, print)

    assert (queue.queue, queue.concurrency, queue.template.image) == ("papers", 4, NO_IMAGE)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (QUEUE.replace("4", "-4"), "concurrency"),
        (QUEUE.replace("4", "4, budgets: [scopus]"), "papers: there is no ApiBudget scopus"),
        (QUEUE + "---\nkind: ApiBudget\nmetadata: {name: arxiv}", r"arxiv: spec\.limit"),
        (QUEUE.replace("{name: papers}", "{}"), r"metadata\.name"),
        (f"{QUEUE}---{QUEUE.replace('name: papers', 'name: others')}", r"spec\.queue bull:papers is there twice"),
        ("{", "not YAML"),
        # A file without any PaperQueue serves nothing, and that is hardly what was meant.
        ("kind: ConfigMap", "no queue to serve"),
        (QUEUE.replace("institution-extraction", "telepathy"), "institution-extraction"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "queues.yaml"
    file.write_text(text)

    with pytest.raises(SettingsError, match=complaint):
        served_queues(file, lambda line: None)


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"queues\.yaml cannot be read"):
        served_queues(tmp_path / "queues.yaml", print)
