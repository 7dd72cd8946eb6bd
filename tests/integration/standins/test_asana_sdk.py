"""The asana SDK against its stand-in: tasks with custom fields, pages, limits."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import asana
import pytest
import urllib3
from asana.rest import ApiException

from paperjobs_standins.server import Standins


@pytest.fixture
def environment(standins: Standins) -> dict[str, str]:
    standins.asana.service.tasks.clear()
    return standins.asana.env()


@pytest.fixture
def tasks(environment: dict[str, str]) -> Iterator[Any]:
    handlers = {name: list(logging.getLogger(name).handlers) for name in ("asana", "urllib3")}
    configuration = asana.Configuration()
    configuration.access_token = environment["ASANA_API_KEY"]
    configuration.host = environment["ASANA_BASE_URL"]
    configuration.retry_strategy = urllib3.Retry(total=0, raise_on_status=False)
    api = asana.ApiClient(configuration)
    yield asana.TasksApi(api)
    api.pool.close()
    api.pool.join()
    api.rest_client.pool_manager.clear()
    for name, before in handlers.items():  # Configuration() adds plain StreamHandlers
        logging.getLogger(name).handlers = before


def paper_task(environment: dict[str, str], arxiv_id: str, **more: Any) -> dict[str, Any]:
    fields = {environment["ASANA_ARXIV_ID_FIELD_ID"]: arxiv_id}
    return {
        "data": {
            "name": arxiv_id,
            "projects": [environment["ASANA_PAPERS_PROJECT_ID"]],
            "custom_fields": fields,
            **more,
        }
    }


def test_a_created_task_can_be_read_and_updated(tasks: Any, environment: dict[str, str]) -> None:
    made = tasks.create_task(paper_task(environment, "1706.03762", notes="abstract"), {})
    link = environment["ASANA_PAPER_LINK_FIELD_ID"]
    tasks.update_task({"data": {"custom_fields": {link: "https://arxiv.org/abs/1706.03762"}}}, made["gid"], {})
    fields = "name,notes,custom_fields.gid,custom_fields.text_value"
    task = tasks.get_task(made["gid"], {"opt_fields": fields})
    values = {one["gid"]: one["text_value"] for one in task["custom_fields"]}
    assert task["notes"] == "abstract"
    assert values[link] == "https://arxiv.org/abs/1706.03762"
    assert values[environment["ASANA_ARXIV_ID_FIELD_ID"]] == "1706.03762"


def test_a_projects_tasks_come_in_pages(tasks: Any, environment: dict[str, str], standins: Standins) -> None:
    for number in range(1, 6):
        tasks.create_task(paper_task(environment, f"2301.0000{number}"), {})
    standins.asana.clear()
    project = environment["ASANA_PAPERS_PROJECT_ID"]
    options = {"limit": 2, "opt_fields": "custom_fields.gid,custom_fields.text_value"}
    found = list(tasks.get_tasks_for_project(project, options))
    field = environment["ASANA_ARXIV_ID_FIELD_ID"]
    ids = [one["text_value"] for task in found for one in task["custom_fields"] if one["gid"] == field]
    assert ids == [f"2301.0000{number}" for number in range(1, 6)]
    assert len(standins.asana.requests) == 3


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"custom_fields": {"1100000000000013": "x" * 1025}}, "longer than 1024 characters"),
        ({"custom_fields": {"42": "x"}}, "Custom field with ID 42 is not on given object"),
        ({"projects": ["7"]}, "Unknown object: 7"),
        ({"nmae": "typo"}, "Cannot write this property: nmae"),
    ],
)
def test_what_asana_refuses_is_refused_and_changes_nothing(
    tasks: Any, environment: dict[str, str], standins: Standins, change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ApiException) as caught:
        tasks.create_task(paper_task(environment, "1", **change), {})
    assert caught.value.status == 400
    assert complaint in caught.value.body.decode()
    assert standins.asana.service.tasks == {}


def test_an_unknown_task_and_a_wrong_token_are_told_apart(tasks: Any) -> None:
    with pytest.raises(ApiException) as caught:
        tasks.get_task("404", {})
    assert caught.value.status == 404
    tasks.api_client.configuration.access_token = "wrong"
    with pytest.raises(ApiException) as caught:
        tasks.get_task("404", {})
    assert caught.value.status == 401


def test_search_is_for_paying_workspaces_only(tasks: Any, environment: dict[str, str]) -> None:
    with pytest.raises(ApiException) as caught:
        list(tasks.search_tasks_for_workspace(environment["ASANA_WORKSPACE_ID"], {"text": "x"}))
    assert caught.value.status == 402


def test_a_rate_limit_reaches_the_caller_with_its_wait(
    tasks: Any, environment: dict[str, str], standins: Standins
) -> None:
    standins.asana.fault("status", status=429, retry_after=30)
    with pytest.raises(ApiException) as caught:
        tasks.create_task(paper_task(environment, "1"), {})
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "30")
