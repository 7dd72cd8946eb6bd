"""One measured figure beside its baseline, and a run's figures as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.target import Target

HEADER: Final = ("figure", "value", "baseline", "ratio", "target", "")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number that means little on its own: two busy cores and a server are told apart by the ratio only."""

    name: str
    unit: str
    value: float
    baseline_name: str = ""
    """What was measured, in the same run, to compare with; empty when the issue names nothing."""
    baseline: float | None = None
    target: Target | None = None
    """The issue's; None for a figure that only explains another."""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """How many times the baseline; None without one."""
        return self.value / self.baseline if self.baseline else None

    @property
    def verdict(self) -> str:
        """Whether the target was met."""
        if self.target is None:
            return ""
        return "met" if self.target.met(self.value, self.baseline) else "MISSED"

    def as_json(self) -> dict[str, Any]:
        """The figure with its ratio, rounded to what a measurement can claim."""
        return {
            "figure": self.name,
            "unit": self.unit,
            "value": _rounded(self.value),
            "baseline": _rounded(self.baseline),
            "baselineIs": self.baseline_name,
            "ratio": _rounded(self.ratio),
            "target": str(self.target) if self.target else None,
            "met": self.target.met(self.value, self.baseline) if self.target else None,
            "details": self.details,
        }


def table(figures: Sequence[Figure]) -> str:
    """The figures as aligned lines, each followed by its baseline's name."""
    rows = [HEADER, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    notes = {figure.baseline_name: None for figure in figures if figure.baseline_name}
    return "\n".join([*lines, "", "baselines:", *(f"- {note}" for note in notes)])


def document(machine: Mapping[str, Any], figures: Sequence[Figure]) -> str:
    """Everything as JSON."""
    return json.dumps({"machine": machine, "figures": [figure.as_json() for figure in figures]}, indent=2) + "\n"


def _row(figure: Figure) -> tuple[str, ...]:
    baseline = "-" if figure.baseline is None else f"{_short(figure.baseline)} {figure.unit}"
    ratio = "-" if figure.ratio is None else f"{figure.ratio:.2f}x"
    target = "-" if figure.target is None else str(figure.target)
    return figure.name, f"{_short(figure.value)} {figure.unit}", baseline, ratio, target, figure.verdict


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
