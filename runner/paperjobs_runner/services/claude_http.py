"""The SDK's client as we want it: nothing from the environment but proxies, and no answer without end.

Imported when Claude is asked, since the SDK takes a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Final

import anthropic
import httpx2

from paperjobs_runner.settings import ClaudeSettings

API: Final = "https://api.anthropic.com"
CONNECT_S: Final = 10.0
"""Seconds for a connection to be made."""
MAX_BYTES: Final = 8 * 1024 * 1024
"""Of an answer's body; the longest that a model can write is about 1 MB."""


def open_client(settings: ClaudeSettings, *, seconds: float) -> anthropic.Anthropic:
    """A client for one call of at most that many seconds; close it."""
    # Headers meant for another program on this machine; the SDK would add them to ours, the Authorization included.
    os.environ.pop("ANTHROPIC_CUSTOM_HEADERS", None)
    end = time.monotonic() + seconds

    def bound(response: httpx2.Response) -> None:
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = _Bounded(response.stream, end)

    return anthropic.Anthropic(
        api_key=settings.api_key,
        base_url=settings.base_url or API,  # given, or the SDK takes an empty ANTHROPIC_BASE_URL for an address
        max_retries=0,
        open_telemetry=False,
        timeout=anthropic.Timeout(seconds, connect=min(CONNECT_S, seconds)),
        # A paper goes to no other address than the one that is set.
        http_client=anthropic.DefaultHttpxClient(follow_redirects=False, event_hooks={"response": [bound]}),
    )


class _Bounded(httpx2.SyncByteStream):
    """A body that ends in time and size: the client's own time limit begins anew with every byte."""

    def __init__(self, stream: httpx2.SyncByteStream, end: float) -> None:
        self._stream, self._end = stream, end

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self._stream:
            size += len(chunk)
            if size > MAX_BYTES:
                raise httpx2.ReadError("the answer is too long")
            if time.monotonic() > self._end:
                raise httpx2.ReadTimeout("the answer takes too long")
            yield chunk

    def close(self) -> None:
        self._stream.close()
