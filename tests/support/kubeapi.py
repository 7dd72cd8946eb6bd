"""The Kubernetes API as the test node needs it: plain JSON, patient while the server restarts, one endless watch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from support.kubeconfig import ApiAccess

PATIENCE_SECONDS: Final = 0.1
"""Between two attempts to reach a server that is down."""


class ApiError(Exception):
    """The server refused a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status: Final = status


class KubeApi:
    """Requests that are repeated until the server answers; made by `kube_api`."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, patch: str = "strategic-merge-patch"
    ) -> dict[str, Any]:
        """The object in the answer. PATCH is a patch as kubelets send it, unless another is named. Raises ApiError."""
        kind = f"application/{patch}+json" if method == "PATCH" else "application/json"
        data = None if body is None else json.dumps(body).encode()
        timeout = aiohttp.ClientTimeout(total=30)
        while True:
            try:
                async with self._session.request(
                    method, self._url + path, data=data, headers={"Content-Type": kind}, timeout=timeout
                ) as response:
                    answer: dict[str, Any] = await response.json(content_type=None)
                    if response.status < 400:
                        return answer
                    if response.status != 429 and response.status < 500:
                        raise ApiError(response.status, str(answer.get("message")))
            except (aiohttp.ClientError, TimeoutError, ValueError):
                pass
            await asyncio.sleep(PATIENCE_SECONDS)

    async def watch(self, path: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Every object of a collection and its changes, for ever, as (event type, object).

        After each list, the first as well as those after an interruption, comes ("LISTED", the list): what is not in
        it exists no more. Objects are never mentioned one by one while listing.
        """
        while True:
            listed = await self.request("GET", path)
            yield "LISTED", listed
            version = listed["metadata"]["resourceVersion"]
            try:
                async for event in self._events(path, version):
                    if event["type"] == "ERROR":  # most often 410 Gone: the version is too old
                        break
                    yield event["type"], event["object"]
            except (aiohttp.ClientError, TimeoutError, ValueError):
                await asyncio.sleep(PATIENCE_SECONDS)

    async def _events(self, path: str, version: str) -> AsyncIterator[dict[str, Any]]:
        parameters = {"watch": "1", "resourceVersion": version, "timeoutSeconds": "300"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with self._session.get(self._url + path, params=parameters, timeout=timeout) as response:
            response.raise_for_status()
            async for line in response.content:
                yield json.loads(line)


@asynccontextmanager
async def kube_api(access: ApiAccess) -> AsyncIterator[KubeApi]:
    """Connections to an API server, closed afterwards."""
    connector = aiohttp.TCPConnector(ssl=access.tls, limit=0)
    # One line of a watch is a whole object, which may be 1.5 MiB.
    async with aiohttp.ClientSession(connector=connector, headers=access.headers, read_bufsize=2**22) as session:
        try:
            yield KubeApi(session, access.url)
        finally:
            await connector.close(abort_ssl=True)
            # Connections of cancelled requests say goodbye in their own time (aiohttp's page on graceful shutdown).
            await asyncio.sleep(0.25)
