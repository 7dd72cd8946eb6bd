"""What Asana's refusals mean: which pass, which wait, which need a person, and which setting that person looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
import urllib3
from asana.rest import ApiException

from paperjobs_runner.asana_sync.schedule import pause_after
from paperjobs_runner.errors import RateLimited, RunnerError, ServiceFailed, ServiceRefused
from paperjobs_runner.services.asana_errors import AsanaTaskMissing, AsanaTaskRefused, classify
from paperjobs_runner.settings_asana import AsanaSettings

SETTINGS = AsanaSettings(api_key="2/secret-token", project="1200", workspace="1100", arxiv_id_field="42")


@dataclass
class Refusal:
    status: int
    data: bytes = b'{"errors": [{"message": "2/secret-token is wrong"}]}'
    headers: dict[str, str] = field(default_factory=dict)
    reason: str = "because"

    def getheaders(self) -> dict[str, str]:
        return self.headers


def classified(refusal: Refusal, *, about_task: bool = False) -> RunnerError:
    return classify(ApiException(http_resp=refusal), SETTINGS, about_task=about_task)


@pytest.mark.parametrize(
    ("status", "setting"),
    [
        (401, "ASANA_API_KEY"),
        (402, "ASANA_ARXIV_ID_FIELD_ID"),
        (403, "ASANA_PAPERS_PROJECT_ID"),
        (404, "ASANA_PAPERS_PROJECT_ID"),
    ],
)
def test_a_refusal_for_good_names_the_setting_and_the_remedy(status: int, setting: str) -> None:
    error = classified(Refusal(status))
    assert type(error) is ServiceRefused
    assert f"({status})" in error.message
    assert setting in error.message
    assert "secret" not in error.message


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        (b"Custom field with ID 42 is not on given object", "ASANA_ARXIV_ID_FIELD_ID"),
        (b"projects: Unknown object: 1200", "there is no project ASANA_PAPERS_PROJECT_ID"),
        (b"workspace: Not a recognized ID: 1100", "ASANA_WORKSPACE_ID"),
    ],
)
def test_a_number_that_asana_does_not_know_is_named_by_its_setting(text: bytes, setting: str) -> None:
    error = classified(Refusal(400, text))
    assert type(error) is ServiceRefused
    assert setting in error.message


def test_a_refusal_of_one_task_is_no_news_about_the_others() -> None:
    assert isinstance(classified(Refusal(400, b"notes: too long")), AsanaTaskRefused)
    assert isinstance(classified(Refusal(404, b"task: Unknown object: 7"), about_task=True), AsanaTaskMissing)


def test_what_passes_is_tried_again() -> None:
    assert isinstance(classified(Refusal(500)), ServiceFailed)
    assert isinstance(classified(Refusal(503)), ServiceFailed)
    closed = urllib3.exceptions.MaxRetryError(urllib3.HTTPConnectionPool("h"), "/2/secret-token")
    for error in (closed, urllib3.exceptions.ProtocolError("reset"), ApiException(status=0, reason="SSLError")):
        assert "cannot be reached" in classify(error, SETTINGS, about_task=False).message
    assert "cannot be read" in classify(TypeError("byte indices"), SETTINGS, about_task=False).message
    assert "secret" not in classify(closed, SETTINGS, about_task=False).message


@pytest.mark.parametrize(
    ("status", "headers", "wait_ms"),
    [(429, {"Retry-After": "7"}, 7_000), (429, {}, 60_000), (503, {"Retry-After": "9"}, 9_000)],
)
def test_a_wait_is_as_long_as_asana_says(status: int, headers: dict[str, str], wait_ms: int) -> None:
    error = classified(Refusal(status, headers=headers))
    assert isinstance(error, RateLimited)
    assert error.retry_after_ms == wait_ms


def test_a_failed_task_is_left_alone_for_longer_and_longer_but_a_refused_one_until_somebody_could_have_mended_it() -> (
    None
):
    failed = ServiceFailed("down")
    pauses = [pause_after(failed, failures) for failures in (1, 2, 3, 7, 1000)]
    assert pauses == [timedelta(minutes=minutes) for minutes in (1, 2, 4, 60, 60)]
    assert pause_after(ServiceRefused("no"), 1) == timedelta(hours=6)
    assert pause_after(RateLimited("wait", retry_after_ms=600_000), 1) == timedelta(minutes=10)
    assert pause_after(RateLimited("wait", retry_after_ms=0), 1) == timedelta(minutes=1)
