"""Which queues a local session serves: the seed's, or those of a file of PaperQueue and ApiBudget objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from paperjobs.errors import SettingsError
from paperjobs.kube.apibudget import api_budget
from paperjobs.kube.paperqueue import BudgetMissing, WrongSpec, queue_settings
from paperjobs.model import QueueSettings
from paperjobs.seed import SEED_BUDGETS, SEED_QUEUES

Parsed = TypeVar("Parsed")

NO_IMAGE = "none"
"""A local run is a process of this installation."""


def served_queues(file: Path | None, say: Callable[[str], None]) -> Sequence[QueueSettings]:
    """The queues to serve; raises SettingsError that lists everything wrong with `file`.

    A queue whose pipeline the runner lacks is left alone and said so: serving it would fail every job for good.
    """
    from paperjobs_runner.pipelines import PIPELINES

    queues = SEED_QUEUES if file is None else read_queues(file)
    unserved = [queue.queue for queue in queues if queue.pipeline not in PIPELINES]
    if unserved:
        say(f"not served, since this runner lacks their pipelines (their jobs wait): {', '.join(unserved)}")
    served = tuple(queue for queue in queues if queue.pipeline in PIPELINES)
    if not served:
        raise SettingsError(f"no queue to serve; pipelines that are built: {', '.join(sorted(PIPELINES))}")
    return served


def read_queues(file: Path) -> tuple[QueueSettings, ...]:
    """Every PaperQueue in a YAML file, as kubectl would apply it; what else is in the file is passed over.

    An ApiBudget in the file takes the place of the seed's of that name."""
    import yaml

    try:
        objects = list(yaml.safe_load_all(file.read_text()))
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    wrong: list[str] = []

    def read(kind: str, parse: Callable[[dict[str, Any]], Parsed]) -> list[Parsed]:
        parsed: list[Parsed] = []
        for body in _of_kind(kind, objects):
            metadata = body.get("metadata")
            name = metadata.get("name") if isinstance(metadata, dict) else None
            if not isinstance(name, str) or not name:
                wrong.append(f"a {kind} has no metadata.name")
                continue
            try:
                parsed.append(parse(body))
            except (WrongSpec, BudgetMissing) as error:
                wrong.append(f"{name}: {error}")
        return parsed

    budgets = SEED_BUDGETS | {budget.name: budget for budget in read("ApiBudget", api_budget)}
    queues = read("PaperQueue", lambda body: queue_settings(body, NO_IMAGE, budgets))
    wrong += _repeated("metadata.name", [queue.name for queue in queues])
    wrong += _repeated("spec.queue", [f"{queue.prefix}:{queue.queue}" for queue in queues])
    if wrong:
        raise SettingsError("\n  ".join([f"{file} is wrong:", *wrong]))
    return tuple(queues)


def _of_kind(kind: str, objects: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for body in objects:
        if isinstance(body, dict) and body.get("kind") == "List":
            yield from _of_kind(kind, body.get("items") or ())
        elif isinstance(body, dict) and body.get("kind") == kind:
            yield body


def _repeated(field: str, values: Sequence[str]) -> list[str]:
    return [f"{field} {value} is there twice" for value in sorted(set(values)) if values.count(value) > 1]
