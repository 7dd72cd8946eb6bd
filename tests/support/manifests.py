"""Manifests as YAML files: `tests/unit/kube/data/input` holds PaperQueues, `output` what they must lead to.

`<ANY>` in an expected file stands for whatever is there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

DATA: Final = Path(__file__).parents[1] / "unit" / "kube" / "data"


def given(name: str) -> dict[str, Any]:
    """An input file."""
    content: dict[str, Any] = yaml.safe_load((DATA / "input" / name).read_text())
    return content


def expected(name: str, actual: Any) -> Any:
    """An output file, with every `<ANY>` filled from `actual`."""
    return _fill(yaml.safe_load((DATA / "output" / name).read_text()), actual)


def _fill(wanted: Any, actual: Any) -> Any:
    if wanted == "<ANY>":
        return actual
    if isinstance(wanted, dict) and isinstance(actual, dict):
        return {name: _fill(value, actual.get(name)) for name, value in wanted.items()}
    if isinstance(wanted, list) and isinstance(actual, list) and len(wanted) == len(actual):
        return [_fill(one, other) for one, other in zip(wanted, actual, strict=True)]
    return wanted
