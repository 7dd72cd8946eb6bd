"""An `ApiBudget` object: its spec as a budget, and what is drawn on it as what people see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, Field, ValidationError

from paperjobs.kube.paperqueue import DAY_MS, Duration, WrongSpec, wrong_fields
from paperjobs.kube.timestamps import to_text
from paperjobs.model import Budget, BudgetUse

Json = Mapping[str, Any]

USED_EVERY_MS: Final = 10_000
"""Between two writes of a status in which only the number of calls is another: it changes with every call."""


class _Limit(BaseModel):
    max: int = Field(ge=1, le=10_000)
    per: Duration = Field(ge=1, le=DAY_MS)


class _Spec(BaseModel):
    limit: _Limit


def api_budget(body: Json) -> Budget:
    """The budget in an ApiBudget; raises WrongSpec that names every wrong field."""
    try:
        limit = _Spec.model_validate(body.get("spec") or {}).limit
    except ValidationError as error:
        raise WrongSpec(wrong_fields(error)) from None
    return Budget(name=body["metadata"]["name"], max=limit.max, per_ms=limit.per)


def budget_status(use: BudgetUse) -> dict[str, Any]:
    """The status of an ApiBudget."""
    held = use.held_until is not None
    return {
        "used": use.used,
        "heldUntil": to_text(use.held_until) if use.held_until is not None else None,
        "heldBy": use.held_by if held else None,
    }


def worth_showing(body: Json, wanted: Json, shown_ms_ago: int) -> bool:
    """Whether a status says something that cannot wait; `body` is the object as last seen."""
    status = body.get("status") or {}
    if any(status.get(name) != wanted[name] for name in ("heldUntil", "heldBy")):
        return True
    return status.get("used", 0) != wanted["used"] and shown_ms_ago >= USED_EVERY_MS
