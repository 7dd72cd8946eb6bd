"""Asana: the tasks of the papers' project.

The SDK's own retries are off: they obey any Retry-After up to six hours, leave out what creates a task, and end in an
error of urllib3. Every call draws on the budget `asana`, and has a time limit; the SDK has none, and takes only whole
seconds. Making a task cannot be repeated blindly, for Asana knows no idempotency key: an answer that was lost may have
been a task.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

from paperjobs_runner.deadline import Deadline
from paperjobs_runner.errors import ServiceFailed
from paperjobs_runner.services.allowance import NO_BUDGETS, UNLIMITED, Allowances
from paperjobs_runner.services.asana_errors import AsanaTaskMissing, classify
from paperjobs_runner.services.bounded import bounded
from paperjobs_runner.services.patience import with_patience
from paperjobs_runner.settings_asana import AsanaSettings

CALL_S: Final = 30
"""Seconds for one call, a whole number for the SDK; Asana mostly answers within one."""
PAGE: Final = 100
"""Tasks to a page, Asana's most."""

_IDENTITY: Final = "notes,custom_fields.gid,custom_fields.text_value"
"""What tells which paper a task belongs to."""
_LOGGERS: Final = ("asana", "urllib3")

_T = TypeVar("_T")
Task = Mapping[str, Any]


class Asana:
    """The tasks of the papers' project."""

    def __init__(self, settings: AsanaSettings, deadline: Deadline, budgets: Allowances = NO_BUDGETS) -> None:
        self._settings = settings
        self._deadline = deadline
        self._allowance = budgets.of("asana", UNLIMITED)
        self._tasks = _client(settings)

    def close(self) -> None:
        """Give the connection back."""
        self._tasks.api_client.rest_client.pool_manager.clear()

    def task(self, gid: str) -> Task | None:
        """The task, if it is still there and still in the project."""

        def get() -> Task:
            return _object(self._tasks.get_task(gid, {"opt_fields": f"projects.gid,{_IDENTITY}"}, **self._limits()))

        try:
            task = self._patiently(get, about_task=True)
        except AsanaTaskMissing:
            return None
        projects = [project.get("gid") for project in _objects(task.get("projects"))]
        return task if self._settings.project in projects else None

    def tasks(self, *, since: datetime | None = None) -> Iterator[Task]:
        """The project's tasks, all pages through: every one, or those that were changed `since`."""
        # Not the search: it is up to a minute behind, and only for paying workspaces.
        wanted: dict[str, Any] = {"limit": PAGE, "opt_fields": _IDENTITY}
        if since is not None:
            wanted |= {"project": self._settings.project, "modified_since": since.astimezone(UTC).isoformat()}
        while True:
            page = self._patiently(partial(self._page, wanted))
            yield from _objects(page.get("data"))
            following = page.get("next_page")
            if not following:
                return
            offset = _object(following).get("offset")
            if not offset or offset == wanted.get("offset"):
                raise ServiceFailed("Asana's answer cannot be read (no next page)")
            wanted = wanted | {"offset": offset}

    def make(self, data: Task, find: Callable[[], str | None]) -> str:
        """Make a task in the project; returns its number. When an answer was lost, `find` looks for the task first."""
        workspace = {"workspace": self._settings.workspace} if self._settings.workspace else {}
        body = {"data": {**data, **workspace, "projects": [self._settings.project]}}
        asked = False

        def look_and_make() -> str:
            nonlocal asked
            if asked and (gid := find()) is not None:
                return gid
            asked = True
            made = self._call(lambda: self._tasks.create_task(body, {"opt_fields": "gid"}, **self._limits()))
            return gid_of(_object(made))

        return with_patience(look_and_make, deadline=self._deadline, allowance=self._allowance)

    def change(self, gid: str, data: Task) -> None:
        """Write what the task says; raises AsanaTaskMissing."""

        def put() -> None:
            _object(self._tasks.update_task({"data": data}, gid, {"opt_fields": "gid"}, **self._limits()))

        self._patiently(put, about_task=True)

    def _page(self, wanted: Mapping[str, Any]) -> Task:
        # The whole answer, not the SDK's iterator: that would page without our budget.
        options, how = dict(wanted), {"full_payload": True, **self._limits()}
        if "project" in options:
            page = self._tasks.get_tasks(options, **how)
        else:
            page = self._tasks.get_tasks_for_project(self._settings.project, options, **how)
        if not isinstance(_object(page).get("data"), list):
            raise ServiceFailed("Asana's answer cannot be read (no tasks)")
        return _object(page)

    def _patiently(self, call: Callable[[], _T], *, about_task: bool = False) -> _T:
        return with_patience(
            lambda: self._call(call, about_task=about_task), deadline=self._deadline, allowance=self._allowance
        )

    def _call(self, call: Callable[[], _T], *, about_task: bool = False) -> _T:
        """One call, when the budget has a turn for it; its errors are ours."""
        self._allowance.draw()
        try:
            # urllib3 limits each wait, not the whole answer.
            return bounded(call, seconds=self._deadline.limit(CALL_S + 5))
        except TimeoutError:
            raise ServiceFailed("Asana did not answer in time") from None
        except ServiceFailed:
            raise
        except Exception as error:
            raise classify(error, self._settings, about_task=about_task) from None

    def _limits(self) -> dict[str, Any]:
        # An int: the SDK silently ignores a float, and waits for ever.
        return {"_request_timeout": max(1, math.floor(self._deadline.limit(CALL_S)))}


def _client(settings: AsanaSettings) -> Any:
    # Lazily: 0.1 s that runs without Asana should not pay.
    import asana
    import urllib3

    handlers = {name: list(logging.getLogger(name).handlers) for name in _LOGGERS}
    configuration = asana.Configuration()
    for name, before in handlers.items():  # it adds handlers of its own, whose lines are no JSON
        logging.getLogger(name).handlers = before
    configuration.access_token = settings.api_key
    configuration.host = settings.url
    configuration.retry_strategy = urllib3.Retry(total=0, raise_on_status=False)
    api = asana.ApiClient(configuration)
    # Threads for calls in the background, of which we make none.
    api.pool.close()
    api.pool.join()
    return asana.TasksApi(api)


def _object(value: object) -> Task:
    if not isinstance(value, Mapping):  # an empty answer comes as b'', a page in HTML as its bytes
        raise ServiceFailed(f"Asana's answer cannot be read ({type(value).__name__})")
    return value


def _objects(value: object) -> list[Task]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def gid_of(task: Task) -> str:
    """Asana's number of a task; raises ServiceFailed."""
    if not isinstance(gid := task.get("gid"), str) or not gid:
        raise ServiceFailed("Asana's answer cannot be read (no gid)")
    return gid
