"""Asana's stand-in as tests use it: its settings, and tasks that somebody else made."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, select

from paperjobs_runner.settings_asana import AsanaSettings, read_asana
from paperjobs_runner.settings_reader import Reader
from paperjobs_runner.store.models import Abstract, AsanaTask, Paper
from paperjobs_runner.store.session import transaction
from paperjobs_runner.store.upsert import insert_into
from paperjobs_standins.asana import API_KEY, FIELDS, PROJECT, ROOT
from paperjobs_standins.exchange import Request
from paperjobs_standins.server import Standins


def asana_settings(standins: Standins) -> AsanaSettings:
    """The runner's settings that lead to the stand-in, with all fields."""
    settings = read_asana(Reader(standins.asana.env()))
    assert settings is not None
    return settings


def paper_task(arxiv_id: str, **more: Any) -> dict[str, Any]:
    """What a task with that text in its arXiv field is made of."""
    return {"name": arxiv_id, "custom_fields": {FIELDS["ASANA_ARXIV_ID_FIELD_ID"][0]: arxiv_id}, **more}


def add_task(standins: Standins, **data: Any) -> str:
    """Make a task past the network; returns its number."""

    request = Request(
        method="POST",
        target=f"{ROOT}/tasks",
        path=f"{ROOT}/tasks",
        query={},
        headers={"authorization": f"Bearer {API_KEY}"},
        body=json.dumps({"data": {"projects": [PROJECT], **data}}).encode(),
        base_url="",
    )
    answer = json.loads(standins.asana.service.answer(request).body)
    return str(answer["data"]["gid"])


def add_paper(engine: Engine, arxiv_id: str = "2301.12345", *, version: int = 1, **abstract: Any) -> None:
    """A paper in the database as a run would leave it; `abstract`: some of what a structured one says."""
    facts = {"title": f"On {arxiv_id}", "abstract": "We study it.", "version": version, "arxiv_id": arxiv_id}
    told = {"summary": "", "key_points": [], "methods": "", "results": "", "limitations": "", "sections_left_out": []}
    with transaction(engine) as connection:
        statement = insert_into(connection, Paper).values(paper_id=f"p-{arxiv_id}", **facts)
        paper = connection.execute(
            statement.on_conflict_do_update(index_elements=["paper_id"], set_=facts).returning(Paper.id)
        ).scalar_one()
        if abstract:
            values = {**told, **abstract, "version": version, "written_at": datetime.now(UTC)}
            statement = insert_into(connection, Abstract).values(paper=paper, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["paper"], set_=values))


def row(engine: Engine, arxiv_id: str = "2301.12345") -> Any:
    """What the database knows of the paper's task."""
    with transaction(engine) as connection:
        return connection.execute(select(AsanaTask.__table__).where(AsanaTask.arxiv_id == arxiv_id)).one()
