"""Untrusted text made fit to be shown: bounded, on one line, and free of what a terminal would obey."""

from __future__ import annotations

import unicodedata
from typing import Final

_INVISIBLE: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories: control and format characters (escape sequences, text direction), surrogates, line breaks."""


JOB_ID_LIMIT: Final = 512
"""Characters of a job id in objects, as the CRD has it (crds/paperjob.yaml)."""


def bounded_id(job_id: str) -> str:
    """A job id as objects carry it: exact, since jobs are found by it. A longer one can only be shown, not found."""
    return job_id if len(job_id) <= JOB_ID_LIMIT else job_id[: JOB_ID_LIMIT - 1] + "…"


def shown(text: str, limit: int) -> str:
    """At most `limit` characters of `text`; a cut is marked."""
    clean = "".join(" " if unicodedata.category(letter) in _INVISIBLE else letter for letter in text[: limit + 1])
    clean = clean.strip()
    return clean if len(clean) <= limit and len(text) <= limit else clean[: limit - 1] + "…"
