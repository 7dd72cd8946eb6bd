"""Finds the task of a paper in the project, whoever made it.

Asana has no dependable search, so the project is looked through: whole for the first paper, once a day, and whenever a
task may have been made that nobody noted; else only what was changed since, which is one call.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine

from paperjobs_runner.asana_sync.content import paper_of
from paperjobs_runner.services.asana import Asana, gid_of
from paperjobs_runner.settings_asana import AsanaSettings
from paperjobs_runner.store import asana_index
from paperjobs_runner.store.asana_index import Known
from paperjobs_runner.store.session import transaction

WHOLE_EVERY: Final = timedelta(days=1)
"""What Asana does not count as a change (its documentation names none) is noticed this late."""
MARGIN: Final = timedelta(minutes=15)
"""Our clock and Asana's may differ by this much."""


class ProjectIndex:
    """The numbers of the project's tasks by paper, kept in the database."""

    def __init__(self, *, engine: Engine, settings: AsanaSettings, asana: Asana, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._settings = settings
        self._asana = asana
        self._now = now

    def find(
        self, arxiv_id: str, *, whole: bool = False, unnoted_since: datetime | None = None, but: str | None = None
    ) -> str | None:
        """The number of the paper's task, if it has one that is not `but`. The whole project is looked through if
        `whole`, or if that was last done before `unnoted_since`."""
        project, began_at = self._settings.project, self._now()
        with transaction(self._engine) as connection:
            known = asana_index.known(connection, project)
        since = None
        if known is not None and not whole and not self._outdated(known, began_at, unnoted_since):
            since = known.until - MARGIN
        found: dict[str, str] = {}
        for task in self._asana.tasks(since=since):
            if (paper := paper_of(task, self._settings)) is not None and gid_of(task) != but:
                found.setdefault(paper, gid_of(task))
        with transaction(self._engine) as connection:
            asana_index.remember(connection, project, found, began_at=began_at, whole=since is None)
            number = found.get(arxiv_id) or asana_index.number_of(connection, project, arxiv_id)
        return number if number != but else None

    @staticmethod
    def _outdated(known: Known, now: datetime, unnoted_since: datetime | None) -> bool:
        """Whether what was changed since is not enough."""
        unnoted = unnoted_since is not None and known.read_whole_at <= unnoted_since
        return unnoted or now - known.read_whole_at > WHOLE_EVERY
