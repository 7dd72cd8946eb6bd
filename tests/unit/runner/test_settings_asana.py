"""Asana's settings: the key and the project or nothing, and what is missing is named."""

from __future__ import annotations

import pytest

from paperjobs_runner.errors import SettingsInvalid
from paperjobs_runner.settings import read_asana_command, read_settings
from paperjobs_runner.settings_asana import AsanaSettings

OTHERS = {"DATABASE_URL": "sqlite:///papers.db", "ANTHROPIC_API_KEY": "sk-ant-1", "PAPERJOBS_STORAGE_DIR": "files"}
KEY, PROJECT = {"ASANA_API_KEY": "2/1/token"}, {"ASANA_PAPERS_PROJECT_ID": "1200"}
FIELDS = {"ASANA_PAPER_LINK_FIELD_ID": "1", "ASANA_ARXIV_ID_FIELD_ID": "2", "ASANA_ABSTRACT_FIELD_ID": "3"}


def complaints(**env: str) -> list[str]:
    with pytest.raises(SettingsInvalid) as refusal:
        read_settings(OTHERS | env)
    return [line.removeprefix("- ") for line in refusal.value.message.splitlines()[1:]]


def test_without_any_of_them_no_tasks_are_kept() -> None:
    assert read_settings(OTHERS).asana is None


def test_key_and_project_are_enough_and_lead_to_asana_itself() -> None:
    asana = read_settings(OTHERS | KEY | PROJECT).asana
    assert asana == AsanaSettings(api_key="2/1/token", project="1200", url="https://app.asana.com/api/1.0")


def test_every_other_setting_is_taken_as_it_is_named() -> None:
    more = {"ASANA_WORKSPACE_ID": "9", "ASANA_BASE_URL": "http://127.0.0.1:1/api/1.0/"}
    asana = read_settings(OTHERS | KEY | PROJECT | FIELDS | more).asana
    assert asana is not None
    assert (asana.link_field, asana.arxiv_id_field, asana.abstract_field) == ("1", "2", "3")
    assert (asana.workspace, asana.url) == ("9", "http://127.0.0.1:1/api/1.0")
    assert asana.setting_of("2") == "ASANA_ARXIV_ID_FIELD_ID"
    assert asana.setting_of("1200") == "ASANA_PAPERS_PROJECT_ID"
    assert asana.setting_of("77") is None


@pytest.mark.parametrize(
    ("env", "missing"),
    [
        (KEY, ["ASANA_PAPERS_PROJECT_ID"]),
        (PROJECT, ["ASANA_API_KEY"]),
        (FIELDS, ["ASANA_API_KEY", "ASANA_PAPERS_PROJECT_ID"]),  # fields of which project?
        ({"ASANA_WORKSPACE_ID": "9"}, ["ASANA_API_KEY", "ASANA_PAPERS_PROJECT_ID"]),
        ({"ASANA_API_KEY": " ", **PROJECT}, ["ASANA_API_KEY"]),  # empty is unset
    ],
)
def test_a_part_of_them_is_reported_with_what_is_missing(env: dict[str, str], missing: list[str]) -> None:
    told = complaints(**env)
    assert [line.partition(":")[0] for line in told] == missing
    assert all("none of Asana's settings" in line for line in told)


def test_they_are_reported_together_with_all_others_and_repeat_no_value() -> None:
    told = complaints(DATABASE_URL="mysql://x", ASANA_PAPERS_PROJECT_ID="2/1/token", ASANA_API_KEY="two words")
    assert sorted(line.partition(":")[0] for line in told) == [
        "ASANA_API_KEY",
        "ASANA_PAPERS_PROJECT_ID",
        "DATABASE_URL",
    ]
    assert "2/1/token" not in " ".join(told)
    assert "two words" not in " ".join(told)


def test_the_key_is_not_in_the_settings_representation() -> None:
    assert "2/1/token" not in repr(read_settings(OTHERS | KEY | PROJECT))


def test_the_command_needs_neither_claude_nor_storage() -> None:
    url, asana, redis = read_asana_command({"DATABASE_URL": "sqlite:///papers.db", **KEY, **PROJECT})
    assert (url, redis) == ("sqlite:///papers.db", None)
    assert asana is not None
    with pytest.raises(SettingsInvalid, match="DATABASE_URL"):
        read_asana_command(KEY | PROJECT)
