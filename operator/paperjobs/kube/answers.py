"""What the API server answers: plain JSON, streams of events, and refusals in our words."""

from __future__ import annotations

import gc
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from paperjobs.errors import ClusterUnavailable, LaunchRefused

Json = dict[str, Any]


class Refused(LaunchRefused):
    """The API server refused a request."""


class NotFound(Refused):
    """The object, or its kind, does not exist."""


class AlreadyExists(Refused):
    """An object of that name exists."""


class Conflict(ClusterUnavailable):
    """The object was changed meanwhile; read it again."""


class Gone(ClusterUnavailable):
    """The resource version is too old; list again."""


def hang_up(response: aiohttp.ClientResponse) -> None:
    """End a stream at once: a polite TLS good-bye would outlive the event loop."""
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
    response.close()


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[Json]:
    # Not by lines of the stream: one object may be longer than the stream's buffer.
    rest = b""
    try:
        async for chunk in response.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                event: Json = json.loads(line)
                if event["type"] == "ERROR":
                    raise _failure(event["object"].get("code", 500), event["object"])
                yield event
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise unavailable(error) from error


def parsed(body: bytes) -> Json:
    """An answer as JSON. While it is read the collector of cycles rests: there are none in JSON, and looking for them
    after every few hundred objects makes a long list take eight times as long."""
    gc.disable()
    try:
        answer: Json = json.loads(body)
        return answer
    finally:
        gc.enable()


async def refusal(response: aiohttp.ClientResponse) -> Exception:
    try:
        status = json.loads(await response.read())
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):  # Its code says enough.
        status = {}
    return _failure(response.status, status if isinstance(status, dict) else {})


def _failure(code: int, status: Json) -> Exception:
    """The server's own words as one of our errors; a code that may pass is ClusterUnavailable."""
    message = str(status.get("message") or f"the API server answered {code}")
    if code == 404:
        return NotFound(message)
    if code == 409:
        return AlreadyExists(message) if status.get("reason") == "AlreadyExists" else Conflict(message)
    if code == 410:
        return Gone(message)
    if code in (401, 408, 429) or code >= 500:
        return ClusterUnavailable(message)
    return Refused(message)


def unavailable(error: Exception) -> ClusterUnavailable:
    said = str(error) or type(error).__name__
    return ClusterUnavailable(f"the API server cannot be reached: {said}")
