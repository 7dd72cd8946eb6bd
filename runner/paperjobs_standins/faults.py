"""What can be made to go wrong: faults, and the plan from which each request takes its own.

A fault is told from Python (`standins.arxiv.fault("status", status=429, retry_after=5)`) or, from another process, with
`POST /__faults__` and the same names as JSON. It strikes the next `times` requests that match its path and method.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from paperjobs_standins.exchange import Request


class FaultError(ValueError):
    """A fault was described wrongly; the text names the field and what it may be."""


class FaultKind(StrEnum):
    """How an exchange goes wrong."""

    STATUS = "status"
    """The service refuses with `status`, in its own error format, with Retry-After when `retry_after` is set."""
    GARBAGE = "garbage"
    """200 and a body that is not of this protocol (a captive portal's page), or `body`."""
    REPLY = "reply"
    """200 and exactly `body`, as JSON: an answer the stand-in would not give by itself, such as a refusal."""
    EMPTY = "empty"
    """200 and nothing in it: arXiv's empty feed, an empty body elsewhere."""
    HANG = "hang"
    """No answer for `seconds`, then the connection is closed."""
    SLOW = "slow"
    """The true answer, `seconds` late."""
    TRUNCATE = "truncate"
    """The true answer's head with its full length, then half of its body and a closed connection."""
    CHUNKED = "chunked"
    """The true answer in chunks, its length not told."""
    ENDLESS = "endless"
    """The true answer in chunks, and after it filler until the client goes away."""
    REDIRECT = "redirect"
    """302 to `location`."""
    RESET = "reset"
    """The connection is reset before any answer; nothing has happened."""
    LOST = "lost"
    """What was asked for happens, then the connection is reset without an answer."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing to do wrong, and to which requests."""

    kind: FaultKind
    times: int | None = 1
    """How many requests it strikes; None for all."""
    path: str = ""
    """Only requests whose path and query contain this."""
    method: str = ""
    """Only requests with this HTTP method."""
    status: int = 503
    retry_after: int | str | None = None
    """Seconds or an HTTP date, sent as it is."""
    seconds: float = 60.0
    location: str = ""
    """Where a redirect leads."""
    body: str | None = None
    """Sent instead of the service's own error body or of the garbage."""

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise FaultError(f"times is {self.times}: give 1 or more, or null for every request")
        if not 400 <= self.status <= 599:
            raise FaultError(f"status is {self.status}: give an HTTP error, 400 to 599")
        if self.seconds < 0:
            raise FaultError(f"seconds is {self.seconds}: give 0 or more")
        if self.kind is FaultKind.REPLY and self.body is None:
            raise FaultError("body is not set: a reply needs one")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Fault:
        """A fault from its JSON form; FaultError names an unknown field or kind."""
        unknown = sorted(set(value) - {field.name for field in fields(cls)})
        if unknown:
            raise FaultError(f"unknown fields: {', '.join(unknown)}")
        try:
            kind = FaultKind(value.get("kind", ""))
        except ValueError:
            raise FaultError(f"kind is {value.get('kind')!r}: give one of {', '.join(FaultKind)}") from None
        return cls(**{**value, "kind": kind})

    def strikes(self, request: Request) -> bool:
        """Whether this request is one of those the fault is meant for."""
        return self.path in request.target and self.method.upper() in ("", request.method)


class FaultPlan:
    """The faults still to come, oldest first. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Put a fault behind those already planned."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Forget every planned fault."""
        with self._lock:
            self._faults.clear()

    def take(self, request: Request) -> Fault | None:
        """The fault that strikes this request, counted down; None when it is to be answered truly."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if not fault.strikes(request):
                    continue
                if fault.times == 1:
                    del self._faults[index]
                elif fault.times is not None:
                    self._faults[index] = replace(fault, times=fault.times - 1)
                return fault
        return None
