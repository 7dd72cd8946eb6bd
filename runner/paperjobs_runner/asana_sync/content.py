"""What the task of a paper says, and how a task shows which paper it belongs to. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from paperjobs_runner.arxiv_id import ArxivId, ArxivIdError, parse_arxiv_link
from paperjobs_runner.settings_asana import AsanaSettings
from paperjobs_runner.store.asana_tasks import TaskFacts
from paperjobs_runner.textclean import storable

FIELD_LIMIT: Final = 1024
"""Characters of a text custom field (github.com/Asana/openapi, asana_oas.yaml: `text_value`). Counted here as UTF-16
does, which is never less: it is not said what Asana takes a character for."""
NOTES_LIMIT: Final = 60_000
"""Characters of notes. Asana names no limit; a structured abstract has some 5,000."""

_MARK: Final = "arXiv:"
_CUT: Final = " …"


@dataclass(frozen=True, kw_only=True)
class TaskContent:
    """What Asana is told."""

    arxiv_id: str
    """Base identifier."""
    name: str
    notes: str
    fields: Mapping[str, str]
    """Text by the number of the custom field."""

    @property
    def digest(self) -> str:
        """The same for the same content."""
        told = json.dumps([self.name, self.notes, sorted(self.fields.items())])
        return hashlib.sha256(told.encode()).hexdigest()


def task_content(facts: TaskFacts, settings: AsanaSettings) -> TaskContent:
    """What the task is to say: the paper's title, the fields the project has, and everything at full length in the
    notes."""
    link = ArxivId(base=facts.arxiv_id).abs_url
    summary = facts.summary or facts.abstract
    fields = {settings.link_field: link, settings.arxiv_id_field: facts.arxiv_id, settings.abstract_field: summary}
    return TaskContent(
        arxiv_id=facts.arxiv_id,
        name=cut(" ".join(_plain(facts.title).split()) or facts.arxiv_id, FIELD_LIMIT),
        notes=cut(_notes(facts, link), NOTES_LIMIT),
        fields={gid: cut(_plain(text), FIELD_LIMIT) for gid, text in fields.items() if gid is not None},
    )


def cut(text: str, limit: int) -> str:
    """The text if it has at most `limit` characters, else as many whole words of it as fit before an ellipsis."""
    if _length(text) <= limit:
        return text
    room = limit - len(_CUT)
    kept = text.encode("utf-16-le")[: room * 2].decode("utf-16-le", "ignore")
    border = max(kept.rfind(" "), kept.rfind("\n"))
    # One word without an end (a formula, a language without spaces) is cut anywhere.
    if border > room // 2 and not text[len(kept)].isspace():
        kept = kept[:border]
    return kept.rstrip() + _CUT


def paper_of(task: Mapping[str, Any], settings: AsanaSettings) -> str | None:
    """Base identifier of the paper that a task belongs to: by its field, else (no field, or nothing in it) by the line
    in its notes."""
    for field in task.get("custom_fields") or ():
        if isinstance(field, Mapping) and field.get("gid") == settings.arxiv_id_field and field.get("text_value"):
            return _identifier(field["text_value"])
    notes = task.get("notes")
    for line in notes.splitlines() if isinstance(notes, str) else ():
        if line.startswith(_MARK):
            return _identifier(line)
    return None


def _identifier(text: object) -> str | None:
    # People type versions, links and blanks; the SDK makes a blank of a no-break space.
    try:
        return parse_arxiv_link(" ".join(text.split())).base if isinstance(text, str) else None
    except ArxivIdError:
        return None


def _notes(facts: TaskFacts, link: str) -> str:
    parts = [f"{_MARK} {facts.arxiv_id}\nVersion: {facts.version}\n{link}"]
    points = "\n".join(f"- {' '.join(point.split())}" for point in facts.key_points)
    sections = {
        "Summary": facts.summary,
        "Key points": points,
        "Methods": facts.methods,
        "Results": facts.results,
        "Limitations": facts.limitations,
        "Abstract on arXiv": facts.abstract,
    }
    parts += [f"{heading}\n{text.strip()}" for heading, text in sections.items() if text.strip()]
    return _plain("\n\n".join(parts))


def _plain(text: str) -> str:
    """As Asana gives it back: without control characters, and the SDK knows no no-break space."""
    return storable(text.replace("\xa0", " ")).strip()


def _length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
