"""Which PaperQueues are served, and why the others are not. Pure: from the objects as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from paperjobs.kube.apibudget import api_budget
from paperjobs.kube.paperqueue import BudgetMissing, WrongSpec, queue_settings
from paperjobs.model import Budget, QueueSettings

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a PaperQueue is not served."""

    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Roster:
    """The queues that the engine runs, and the PaperQueues it does not, by name."""

    served: tuple[QueueSettings, ...]
    refused: Mapping[str, Refusal]


def call_the_roll(queues: Iterable[Json], budgets: Iterable[Json], default_image: str) -> Roster:
    """Decide on every PaperQueue. Of two for one BullMQ queue the older wins, since its limits are in force.

    `budgets` are the ApiBudgets; one that is wrong counts as missing.
    """
    served: dict[tuple[str, str], QueueSettings] = {}
    refused: dict[str, Refusal] = {}
    known = _right_ones(budgets)
    for body in sorted(queues, key=_age):
        name = body["metadata"]["name"]
        try:
            settings = queue_settings(body, default_image, known)
        except (WrongSpec, BudgetMissing) as error:
            refused[name] = Refusal(reason=type(error).__name__, message=str(error))
            continue
        older = served.get((settings.prefix, settings.queue))
        if older is not None:
            refused[name] = Refusal(
                reason="Conflict",
                message=f"PaperQueue {older.name} is older and serves queue {settings.queue!r} already; delete one",
            )
        else:
            served[settings.prefix, settings.queue] = settings
    return Roster(served=tuple(served.values()), refused=refused)


def _right_ones(budgets: Iterable[Json]) -> dict[str, Budget]:
    """The API server has checked them against the CRD; it may be older than this code."""
    right: dict[str, Budget] = {}
    for body in budgets:
        with suppress(WrongSpec):
            right[body["metadata"]["name"]] = api_budget(body)
    return right


def _age(body: Json) -> tuple[str, str]:
    metadata = body["metadata"]
    return metadata.get("creationTimestamp", ""), metadata.get("uid", "")
