"""What passes between the HTTP transport and a stand-in: one request, one answer, and what every service can do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl

JSON_TYPE = "application/json"
FAULTS_PATH = "/__faults__"
REQUESTS_PATH = "/__requests__"
"""The two paths by which other processes steer a server; no real service has them."""


class BadRequestBody(ValueError):
    """The body is not what its content type says; the services answer 400 in their own words."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One HTTP request as a stand-in sees it."""

    method: str
    target: str
    """Path and query exactly as sent."""
    path: str
    """The path alone, still percent-encoded."""
    query: Mapping[str, str]
    """The last value of every query parameter, decoded."""
    headers: Mapping[str, str]
    """Header names in lower case."""
    body: bytes
    base_url: str
    """Where this server can be reached, without a trailing slash; for absolute links in answers."""

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; BadRequestBody when it is anything else."""
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise BadRequestBody("the request body is not JSON") from error
        if not isinstance(value, dict):
            raise BadRequestBody("the request body is not a JSON object")
        return value

    def form(self) -> dict[str, str]:
        """The body as a URL-encoded form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One HTTP answer; Content-Length, Date and Server are added by the transport."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
        """An answer whose body is `value` as JSON."""
        return cls(status=status, body=json.dumps(value, ensure_ascii=False).encode(), headers=headers or {})


class Service(Protocol):
    """One external service, without any HTTP transport: a function from request to answer, with a memory."""

    name: str
    """The service's name on the command line and in `Standins`."""

    def answer(self, request: Request) -> Answer:
        """Answer as the real service would. Called from several threads at once."""
        ...

    def failure(self, status: int) -> Answer:
        """The body and content type with which the real service says this HTTP status."""
        ...

    def empty(self) -> Answer:
        """A successful answer with nothing in it, as the real service gives on a bad day."""
        ...

    def env(self, base_url: str) -> dict[str, str]:
        """The environment variables that make the runner use this server."""
        ...
