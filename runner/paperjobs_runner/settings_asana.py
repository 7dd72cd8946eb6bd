"""The settings of Asana: the key and the project, or nothing; the fields and the workspace as the project has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from paperjobs_runner.settings_reader import Reader, http_url, is_one_word

ASANA_URL: Final = "https://app.asana.com/api/1.0"

_NEEDED: Final = {"ASANA_API_KEY": "a personal access token", "ASANA_PAPERS_PROJECT_ID": "the project's number"}
_OPTIONAL: Final = (
    "ASANA_WORKSPACE_ID",
    "ASANA_PAPER_LINK_FIELD_ID",
    "ASANA_ARXIV_ID_FIELD_ID",
    "ASANA_ABSTRACT_FIELD_ID",
)


@dataclass(frozen=True, kw_only=True)
class AsanaSettings:
    """Where the papers' tasks are kept. A field that is not set is not written; its content is in the notes anyway."""

    api_key: str = field(repr=False)
    project: str
    url: str = ASANA_URL
    workspace: str | None = None
    """Sent along with new tasks; the project alone would do."""
    link_field: str | None = None
    arxiv_id_field: str | None = None
    abstract_field: str | None = None

    def setting_of(self, gid: str) -> str | None:
        """Name of the setting that holds this number."""
        numbers = (self.workspace, self.link_field, self.arxiv_id_field, self.abstract_field, self.project)
        return dict(zip(numbers, (*_OPTIONAL, "ASANA_PAPERS_PROJECT_ID"), strict=True)).get(gid)


def read_asana(reader: Reader) -> AsanaSettings | None:
    """Asana's settings; None when none is set. What is missing or wrong is told to the reader."""
    url = reader.read("ASANA_BASE_URL", http_url)
    api_key = reader.text("ASANA_API_KEY")
    project = reader.read("ASANA_PAPERS_PROJECT_ID", _gid)
    workspace, link, arxiv_id, abstract = (reader.read(name, _gid) for name in _OPTIONAL)
    if api_key is not None and not is_one_word(api_key):
        reader.wrong("ASANA_API_KEY: expected a personal access token, which is one word in ASCII")
        api_key = None
    known = [name for name in (*_NEEDED, *_OPTIONAL) if reader.text(name)]
    if known:
        for name, what in _NEEDED.items():
            if not reader.text(name):
                given = ", ".join(known)
                reader.wrong(f"{name}: not set; expected {what} beside {given}, or none of Asana's settings at all")
    if api_key is None or project is None:
        return None
    return AsanaSettings(
        api_key=api_key,
        project=project,
        url=(url or ASANA_URL).rstrip("/"),
        workspace=workspace,
        link_field=link,
        arxiv_id_field=arxiv_id,
        abstract_field=abstract,
    )


def _gid(value: str) -> str:
    if not (value.isascii() and value.isdecimal()):
        raise ValueError("expected a number as Asana's addresses show it")  # not shown: it may be the key, misplaced
    return value
