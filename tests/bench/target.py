"""What issue 4 asks of a figure. Nothing asserts it: the table says whether it was met."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Of(Enum):
    """What of a figure is compared with the bound."""

    VALUE = "value"
    RATIO = "ratio"
    """Of the value to the baseline."""
    EXCESS = "excess"
    """The value less the baseline."""


@dataclass(frozen=True)
class Target:
    """A bound for a figure's value, ratio or excess."""

    bound: float
    of: Of = Of.VALUE
    at_least: bool = False

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        return f"{sign} {self.bound:g}" + {Of.VALUE: "", Of.RATIO: "x", Of.EXCESS: " above"}[self.of]

    def met(self, value: float, baseline: float | None) -> bool:
        """Whether a figure keeps to it."""
        measured = value
        if self.of is not Of.VALUE:
            if not baseline:
                raise ValueError(f"the target {self} needs a baseline")
            measured = value / baseline if self.of is Of.RATIO else value - baseline
        return measured >= self.bound if self.at_least else measured <= self.bound
