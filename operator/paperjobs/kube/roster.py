"""Which PaperQueues are served, and why the others are not. Pure: from the objects as they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from paperjobs.kube.paperqueue import WrongSpec, queue_settings
from paperjobs.model import QueueSettings

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


def call_the_roll(queues: Iterable[Json], budgets: Collection[str], default_image: str) -> Roster:
    """Decide on every PaperQueue. Of two for one BullMQ queue the older wins, since its limits are in force."""
    served: dict[tuple[str, str], QueueSettings] = {}
    refused: dict[str, Refusal] = {}
    for body in sorted(queues, key=_age):
        name = body["metadata"]["name"]
        try:
            settings = queue_settings(body, default_image)
        except WrongSpec as wrong:
            refused[name] = Refusal(reason="WrongSpec", message=str(wrong))
            continue
        older = served.get((settings.prefix, settings.queue))
        missing = [budget for budget in settings.budgets if budget not in budgets]
        if older is not None:
            refused[name] = Refusal(
                reason="Conflict",
                message=f"PaperQueue {older.name} is older and serves queue {settings.queue!r} already; delete one",
            )
        elif missing:
            refused[name] = Refusal(
                reason="BudgetMissing",
                message=f"there is no ApiBudget {', '.join(missing)}; create it, or take it out of spec.budgets",
            )
        else:
            served[settings.prefix, settings.queue] = settings
    return Roster(served=tuple(served.values()), refused=refused)


def _age(body: Json) -> tuple[str, str]:
    metadata = body["metadata"]
    return metadata.get("creationTimestamp", ""), metadata.get("uid", "")
