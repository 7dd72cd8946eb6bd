"""What the web app queued: the paper's id in the app, and a link to it on arXiv.

A wrong payload can never succeed, so it ends the job at once, with a message that names the field and the remedy.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from paperjobs_runner.arxiv_id import ArxivId, parse_arxiv_link
from paperjobs_runner.errors import PayloadInvalid

MAX_PAPER_ID: Final = 200
"""Characters; the web app's ids are UUIDs or numbers."""


def _number_as_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


def _paper_id(value: str) -> str:
    if not 1 <= len(value) <= MAX_PAPER_ID:
        raise ValueError(f"expected 1 to {MAX_PAPER_ID} characters, got {len(value)}")
    if not value.isprintable() or value != value.strip() or any("\ud800" <= char <= "\udfff" for char in value):
        raise ValueError("expected text without control characters and outer spaces")
    return value


def _arxiv_link(value: str) -> str:
    parse_arxiv_link(value)
    return value.strip()


class PaperPayload(BaseModel):
    """The data of a job about one paper. Other fields are the producer's own and are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    paper_id: Annotated[
        str,
        BeforeValidator(_number_as_text),
        AfterValidator(_paper_id),
        Field(alias="paperId"),
    ]
    """The paper's id in the web app; results are stored under it."""
    arxiv_url: Annotated[str, AfterValidator(_arxiv_link), Field(alias="arxivUrl")]

    @property
    def arxiv_id(self) -> ArxivId:
        """The paper the link names."""
        return parse_arxiv_link(self.arxiv_url)


def parse_payload(text: str) -> PaperPayload:
    """Read a job's data; raises PayloadInvalid with one line for every wrong field."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise PayloadInvalid("the job's data is not JSON; add the job with {paperId, arxivUrl}") from None
    if not isinstance(data, dict):
        raise PayloadInvalid(f"the job's data must be an object {{paperId, arxivUrl}}, got {_kind(data)}")
    try:
        return PaperPayload.model_validate(data)
    except ValidationError as error:
        raise PayloadInvalid("; ".join(_explain(problem) for problem in error.errors())) from None


def _explain(problem: Any) -> str:
    field = ".".join(str(part) for part in problem["loc"])
    match problem["type"]:
        case "missing":
            return f"{field}: missing; add the job with {{paperId, arxivUrl}}"
        case "string_type":
            return f"{field}: expected text, got {_kind(problem['input'])}"
        case "value_error":
            return f"{field}: {problem['ctx']['error']}"
        case _:
            return f"{field}: {problem['msg']}"


def _kind(value: object) -> str:
    kinds = {bool: "true/false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return "null" if value is None else kinds.get(type(value), type(value).__name__)
