"""Kinds of arguments that several commands have."""

from __future__ import annotations

import argparse
from typing import Final

MAX_SECONDS: Final = 366 * 24 * 3600.0
"""A year of delay or waiting: more is a slip of the hand."""


def seconds(text: str) -> float:
    """A number of seconds, for argparse."""
    try:
        given = float(text)
    except ValueError:
        given = -1.0
    if not 0 <= given < MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return given
