"""`paperjobs operator`, dying (or stopping) by its own hand at a named point of its work.

    PAPERJOBS_TEST_STRIKE=after:claim:2  python -m support.crashing_operator

The variable names the moment (before or after), the step (`STEPS`), and optionally which time it is that step (1) and
the signal it sends to itself (KILL; STOP pauses it instead, as a frozen machine would). The operator's own code has no
hooks for this: the methods of its adapters are wrapped from here. Without the variable it is the operator as it is, but
for the time after which a silent leader is replaced, which PAPERJOBS_TEST_LEASE_SECONDS may make shorter than an
installation may.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from paperjobs.bullmq.jobqueue import BullmqJobQueue
from paperjobs.commands.operate import run_operator
from paperjobs.kube.api import JOBS, LEASES, PAPERJOBS, PAPERQUEUES, Api, Resource
from paperjobs.logs import configure_logs
from paperjobs.model import Job
from paperjobs.settings import OperatorSettings, read_settings

STRIKE: Final = "PAPERJOBS_TEST_STRIKE"
LEASE_SECONDS: Final = "PAPERJOBS_TEST_LEASE_SECONDS"
STRUCK: Final = "PAPERJOBS_TEST_STRUCK"
"""A file to which a strike adds a line, so that a test knows that the point was reached."""


@dataclass(frozen=True)
class Step:
    """Methods of an adapter, and which of their calls are this step."""

    owner: type
    methods: tuple[str, ...]
    concerns: Callable[[tuple[Any, ...]], bool] = lambda _: True
    """Looks at the arguments."""
    counts: Callable[[Any], bool] = lambda _: True
    """Looks at the answer; for `after` only."""


def _of(*kinds: Resource) -> Callable[[tuple[Any, ...]], bool]:
    return lambda arguments: arguments[0] in kinds


def _takes(arguments: tuple[Any, ...]) -> bool:
    """Whether a write to the Lease begins a term; a renewal leaves acquireTime as it is."""
    if arguments[0] is not LEASES:
        return False
    spec = arguments[-1]["spec"]
    return bool(spec["holderIdentity"]) and spec["renewTime"] == spec["acquireTime"]


def _renews(arguments: tuple[Any, ...]) -> bool:
    return arguments[0] is LEASES and not _takes(arguments)


STEPS: Final[Mapping[str, Step]] = {
    "observe": Step(BullmqJobQueue, ("observe",)),
    "claim": Step(BullmqJobQueue, ("claim",), counts=lambda claimed: isinstance(claimed, Job)),
    "load": Step(BullmqJobQueue, ("load",)),
    "create-paperjob": Step(Api, ("create",), _of(PAPERJOBS)),
    "create-job": Step(Api, ("create",), _of(JOBS)),
    "record": Step(BullmqJobQueue, ("record_launch",)),
    "hold": Step(BullmqJobQueue, ("hold",)),
    "finish": Step(BullmqJobQueue, ("finish",)),
    "show-job": Step(Api, ("patch_status",), _of(PAPERJOBS)),
    "show-queue": Step(Api, ("patch_status",), _of(PAPERQUEUES)),
    "delete-paperjob": Step(Api, ("delete",), _of(PAPERJOBS)),
    "take-lease": Step(Api, ("create", "replace"), _takes),
    "renew-lease": Step(Api, ("replace",), _renews),
}
"""Every step of a job's life that leaves a trace outside the process, in their order; then the election's."""

POINTS: Final = tuple(f"{moment}:{step}" for step in STEPS for moment in ("before", "after"))


def arm(strike: str) -> None:
    """Wrap the method of a step; raises ValueError for a point that does not exist."""
    moment, name, *rest = strike.split(":")
    if f"{moment}:{name}" not in POINTS:
        raise ValueError(f"{STRIKE}={strike}: no such point; there are: {', '.join(POINTS)}")
    step, left = STEPS[name], int(rest[0]) if rest else 1
    number = signal.Signals[f"SIG{rest[1]}"] if len(rest) > 1 else signal.SIGKILL

    def passed() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            if path := os.environ.get(STRUCK):
                with open(path, "a") as struck:
                    struck.write(f"{strike}\n")
            os.kill(os.getpid(), number)

    def wrap(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(original)
        async def wrapped(self: Any, *arguments: Any, **options: Any) -> Any:
            concerned = step.concerns(arguments)
            if concerned and moment == "before":
                passed()
            answer = await original(self, *arguments, **options)
            if concerned and moment == "after" and step.counts(answer):
                passed()
            return answer

        return wrapped

    for method in step.methods:
        setattr(step.owner, method, wrap(getattr(step.owner, method)))


def main() -> int:
    """As `paperjobs operator`."""
    if strike := os.environ.get(STRIKE):
        arm(strike)
    settings = read_settings(OperatorSettings, os.environ)
    if seconds := os.environ.get(LEASE_SECONDS):
        settings = settings.model_copy(update={"lease_seconds": float(seconds)})
    configure_logs(settings.log_level, settings.log_format)
    return asyncio.run(run_operator(settings))


if __name__ == "__main__":
    sys.exit(main())
