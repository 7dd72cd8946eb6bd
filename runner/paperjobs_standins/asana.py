"""Asana's stand-in: tasks of one project with its custom fields, kept in memory.

Follows Asana's OpenAPI description (github.com/Asana/openapi): data envelopes, opt_fields, offset pagination, text
fields of at most 1,024 characters, custom fields only where the project has them, search only for paying workspaces.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from paperjobs_standins.exchange import Answer, BadRequestBody, Request

ROOT = "/api/1.0"
API_KEY = "2/standin/asana"
WORKSPACE = "1100000000000001"
PROJECT = "1100000000000002"
FIELDS = {
    "ASANA_PAPER_LINK_FIELD_ID": ("1100000000000011", "Paper link"),
    "ASANA_ARXIV_ID_FIELD_ID": ("1100000000000012", "arXiv ID"),
    "ASANA_ABSTRACT_FIELD_ID": ("1100000000000013", "Abstract"),
}
TEXT_FIELD_LIMIT = 1024
"""Characters of a text custom field (asana_oas.yaml, custom_field.text_value)."""
PAGE_LIMIT = 100

_COMPACT = ("gid", "name", "resource_type", "resource_subtype")
_WRITABLE = {"name", "notes", "html_notes", "projects", "workspace", "custom_fields", "completed", "assignee", "due_on"}


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class AsanaStandin:
    """One workspace with one project; tasks live until it is dropped."""

    name = "asana"

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._gids = itertools.count(1200000000000001)
        self.tasks: dict[str, dict[str, Any]] = {}
        """Every task by gid, as a full answer shows it; for assertions."""

    def env(self, base_url: str) -> dict[str, str]:
        """The address, the token that this stand-in accepts, and the ids of its project and fields."""
        return {
            "ASANA_BASE_URL": base_url + ROOT,
            "ASANA_API_KEY": API_KEY,
            "ASANA_WORKSPACE_ID": WORKSPACE,
            "ASANA_PAPERS_PROJECT_ID": PROJECT,
            **{name: gid for name, (gid, _) in FIELDS.items()},
        }

    def failure(self, status: int) -> Answer:
        """Asana's error object."""
        return _error(status, f"the stand-in was asked to answer {status}")

    def empty(self) -> Answer:
        """200 without a body."""
        return Answer()

    def answer(self, request: Request) -> Answer:
        """Answer one call of the tasks and projects API."""
        try:
            if request.headers.get("authorization") != f"Bearer {API_KEY}":
                raise _Refused(401, "Not Authorized")
            with self._lock:
                return self._route(request)
        except _Refused as refused:
            return _error(refused.status, str(refused))
        except BadRequestBody as error:
            return _error(400, f"Could not parse request data: {error}")

    def _route(self, request: Request) -> Answer:
        path = request.path.removeprefix(ROOT)
        task = re.fullmatch(r"/tasks/([^/]+)", path)
        if path == "/tasks" and request.method == "POST":
            return self._create(request)
        if path == "/tasks" and request.method == "GET":
            return self._changed(request)
        if task and request.method == "GET":
            return _one(self._task(task[1]), request)
        if task and request.method == "PUT":
            self._write(self._task(task[1]), _data(request))
            return _one(self._task(task[1]), request)
        if task and request.method == "DELETE":
            del self.tasks[self._task(task[1])["gid"]]
            return Answer.json({"data": {}})
        if (
            project := re.fullmatch(r"/projects/([^/]+)/(tasks|custom_field_settings)", path)
        ) and request.method == "GET":
            if project[1] != PROJECT:
                raise _Refused(404, f"project: Unknown object: {project[1]}")
            return _page(list(self.tasks.values()) if project[2] == "tasks" else _settings(), request)
        if re.fullmatch(r"/workspaces/[^/]+/tasks/search", path):
            raise _Refused(402, "Payment Required: search is only available to premium users")
        raise _Refused(404, f"No matching route for request {request.method} {path}")

    def _changed(self, request: Request) -> Answer:
        """The project's tasks, with `modified_since` those changed at or after that time."""
        if request.query.get("project") != PROJECT:
            raise _Refused(400, "project: Missing input, or an unknown object")
        try:
            since = datetime.fromisoformat(request.query.get("modified_since", "1970-01-01T00:00:00+00:00"))
        except ValueError:
            raise _Refused(400, "modified_since: expected a date and time") from None
        changed = [task for task in self.tasks.values() if datetime.fromisoformat(task["modified_at"]) >= since]
        return _page(changed, request)

    def _task(self, gid: str) -> dict[str, Any]:
        if gid not in self.tasks:
            raise _Refused(404, f"task: Unknown object: {gid}")
        return self.tasks[gid]

    def _create(self, request: Request) -> Answer:
        data = _data(request)
        if not data.get("workspace") and not data.get("projects"):
            raise _Refused(400, "You should specify one of workspace, parent, projects")
        task: dict[str, Any] = {
            "gid": str(next(self._gids)),
            "resource_type": "task",
            "resource_subtype": "default_task",
        }
        task |= {"name": "", "notes": "", "completed": False, "projects": [], "custom_fields": []}
        task["permalink_url"] = f"https://app.asana.com/0/{PROJECT}/{task['gid']}"
        self._write(task, data)
        self.tasks[task["gid"]] = task
        answer = _one(task, request)
        return Answer(status=201, body=answer.body)

    def _write(self, task: dict[str, Any], data: Mapping[str, Any]) -> None:
        """Check everything first, so that a refused write changes nothing."""
        unknown = sorted(set(data) - _WRITABLE)
        if unknown:
            raise _Refused(400, f"Cannot write this property: {', '.join(unknown)}")
        projects = [str(gid) for gid in data.get("projects", [one["gid"] for one in task["projects"]])]
        if wrong := [gid for gid in projects if gid != PROJECT]:
            raise _Refused(400, f"projects: Unknown object: {wrong[0]}")
        given = data.get("custom_fields") or {}
        if not isinstance(given, Mapping):
            raise _Refused(400, "custom_fields: expected an object of field gid to value")
        names = dict(FIELDS.values())
        for gid, value in given.items():
            if gid not in names or PROJECT not in projects:
                raise _Refused(400, f"Custom field with ID {gid} is not on given object")
            if value is not None and not isinstance(value, str):
                raise _Refused(400, f"custom_fields: {gid}: expected a string")
            if value is not None and len(value) > TEXT_FIELD_LIMIT:
                raise _Refused(400, f"custom_fields: {gid}: text is longer than {TEXT_FIELD_LIMIT} characters")
        for name in ("name", "notes", "html_notes", "completed", "assignee", "due_on"):
            if name in data:
                task[name] = data[name]
        task["modified_at"] = datetime.now(UTC).isoformat(timespec="milliseconds")
        task["projects"] = [{"gid": gid, "resource_type": "project", "name": "Papers"} for gid in projects]
        values = {one["gid"]: one["text_value"] for one in task["custom_fields"]} | dict(given)
        if projects:
            task["custom_fields"] = [_field(gid, name, values.get(gid)) for gid, name in names.items()]


def _field(gid: str, name: str, value: str | None) -> dict[str, Any]:
    kind = {"gid": gid, "name": name, "resource_type": "custom_field", "resource_subtype": "text", "type": "text"}
    return {**kind, "text_value": value, "display_value": value}


def _settings() -> list[dict[str, Any]]:
    return [
        {"gid": f"9{gid}", "resource_type": "custom_field_setting", "custom_field": _field(gid, name, None)}
        for gid, name in FIELDS.values()
    ]


def _data(request: Request) -> dict[str, Any]:
    data = request.json().get("data")
    if not isinstance(data, dict):
        raise _Refused(400, "data: Missing input")
    return data


def _one(item: Mapping[str, Any], request: Request) -> Answer:
    """The whole item, or what opt_fields asks for."""
    wanted = request.query.get("opt_fields")
    return Answer.json({"data": _picked(item, wanted.split(",")) if wanted else item})


def _page(items: list[dict[str, Any]], request: Request) -> Answer:
    """One page of items in their short form, and how to get the next one."""
    try:
        limit = int(request.query.get("limit", PAGE_LIMIT))
        start = int(request.query.get("offset", "standin-0").removeprefix("standin-"))
    except ValueError:
        raise _Refused(400, "offset: Your pagination token is invalid.") from None
    if not 1 <= limit <= PAGE_LIMIT:
        raise _Refused(400, f"limit: Must be between 1 and {PAGE_LIMIT}")
    wanted = ["gid", *request.query["opt_fields"].split(",")] if request.query.get("opt_fields") else list(_COMPACT)
    following = None
    if start + limit < len(items):
        offset = f"standin-{start + limit}"
        path = f"{request.path.removeprefix(ROOT)}?limit={limit}&offset={offset}"
        following = {"offset": offset, "path": path, "uri": f"{request.base_url}{ROOT}{path}"}
    data = [_picked(item, wanted) for item in items[start : start + limit]]
    return Answer.json({"data": data, "next_page": following})


def _picked(item: Any, fields: list[str]) -> Any:
    """Only these fields, `a.b` for those inside; gid and resource_type always come along."""
    if isinstance(item, list):
        return [_picked(one, fields) for one in item]
    if not isinstance(item, Mapping):
        return item
    heads: dict[str, list[str]] = {}
    for path in fields:
        head, _, rest = path.strip().partition(".")
        heads.setdefault(head, []).extend([rest] if rest else [])
    picked = {name: item[name] for name in ("gid", "resource_type") if name in item}
    for head, inner in heads.items():
        if head in item:
            picked[head] = _picked(item[head], inner) if inner else item[head]
    return picked


def _error(status: int, message: str) -> Answer:
    return Answer.json({"errors": [{"message": message, "help": "https://developers.asana.com"}]}, status=status)
