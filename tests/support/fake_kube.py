"""A small API server over HTTP for tests of faults that a real one cannot be told to have.

It keeps objects with resource versions, refuses stale writes, pages listings, and streams watches; it can hang, fail,
forget its history and cut connections. What differs from a real one: no schemas, no selectors, no authorisation.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Final

from aiohttp import web

from paperjobs.kube.login import Login

Json = dict[str, Any]

COLLECTIONS: Final = frozenset({"jobs", "pods", "leases", "things", "paperqueues", "paperjobs", "apibudgets", "events"})


class FakeKube:
    """State and faults of the server."""

    def __init__(self) -> None:
        self.url = ""
        self.objects: dict[str, Json] = {}
        self.requests: list[tuple[str, str]] = []
        """Method and path of every request, in order."""
        self.tokens: list[str] = []
        self.page_size = 1000
        self.answers: dict[str, tuple[int, Json]] = {}
        """By method: what every request is answered, as when a quota is used up."""
        self.answer: tuple[int, Json] | None = None
        """Answer everything with this status and body."""
        self.forbidden = ""
        """Refuse requests whose path has this in it."""
        self.rehearsed: list[Json] = []
        """Bodies of dry runs."""
        self.hanging = False
        """Take requests and never answer."""
        self.oldest = 0
        """Watches from an earlier version are told that it is gone."""
        self._version = 100
        self._history: list[tuple[int, str, str, Json]] = []
        self._news = asyncio.Condition()
        self._streams: dict[int, web.Request] = {}

    async def put(self, path: str, body: Json) -> Json:
        """Create or change an object as somebody else would."""
        kind = "MODIFIED" if path in self.objects else "ADDED"
        self._version += 1
        metadata = {"uid": f"uid-{self._version}", **body["metadata"], "resourceVersion": str(self._version)}
        self.objects[path] = {**body, "metadata": metadata}
        await self._publish(kind, path)
        return self.objects[path]

    async def remove(self, path: str, *, silently: bool = False) -> None:
        """Delete an object as somebody else would; silently: no watch hears of it."""
        self._version += 1
        body = self.objects.pop(path)
        body = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self._version)}}
        if not silently:
            self._history.append((self._version, path, "DELETED", body))
            await self._ring()

    async def cut(self) -> None:
        """Break every open watch in the middle."""
        for request in list(self._streams.values()):
            if request.transport is not None:
                request.transport.abort()

    @property
    def watching(self) -> int:
        """Open watches."""
        return len(self._streams)

    def login(self) -> Login:
        """Credentials for this server."""

        async def token(_: str) -> str:
            return "Bearer secret"

        configuration = SimpleNamespace(
            host=self.url,
            get_api_key_with_prefix=token,
            connection_pool_maxsize=100,
            ssl_ca_cert=None,
            ca_cert_data=None,
            cert_file=None,
            verify_ssl=True,
            disable_strict_ssl_verification=False,
            proxy=None,
            proxy_headers=None,
            retries=None,
            tls_server_name=None,
        )
        return Login(configuration=configuration, namespace="test")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        self.requests.append((request.method, request.path))
        self.tokens.append(request.headers.get("Authorization", ""))
        if self.hanging:
            await asyncio.Event().wait()
        if request.method in self.answers:
            status, said = self.answers[request.method]
            return web.json_response(said, status=status)
        if self.answer is not None:
            return web.json_response(self.answer[1], status=self.answer[0])
        if self.forbidden and self.forbidden in request.path:
            return _status(403, "Forbidden", f"{request.path} is forbidden")
        if request.query.get("watch"):
            return await self._watch(request)
        body = await request.json() if request.can_read_body else {}
        return await self._answer(request, body)

    async def _answer(self, request: web.Request, body: Json) -> web.Response:
        path = request.path.removesuffix("/status")
        known = self.objects.get(path)
        if request.method == "POST" and request.query.get("dryRun"):
            self.rehearsed.append(body)
            return web.json_response(body, status=201)
        if request.method == "POST":
            return await self._create(f"{path}/{body['metadata']['name']}", body)
        if request.method == "GET" and path.rsplit("/", 1)[-1] in COLLECTIONS:
            return self._list(request)
        if known is None:
            return _status(404, "NotFound", f"{path} not found")
        if request.method == "PUT":
            return await self._replace(path, known, body)
        if request.method == "PATCH":
            known = await self.put(path, _merge(known, body))
        if request.method == "DELETE":
            await self.remove(path)
        return web.json_response(known)

    async def _create(self, path: str, body: Json) -> web.Response:
        if path in self.objects:
            return _status(409, "AlreadyExists", "it exists")
        return web.json_response(await self.put(path, body), status=201)

    async def _replace(self, path: str, known: Json, body: Json) -> web.Response:
        if body["metadata"].get("resourceVersion") != known["metadata"]["resourceVersion"]:
            return _status(409, "Conflict", "the object has been modified")
        return web.json_response(await self.put(path, body))

    def _list(self, request: web.Request) -> web.Response:
        mine = [body for path, body in sorted(self.objects.items()) if path.startswith(f"{request.path}/")]
        start = int(request.query.get("continue", 0))
        page = mine[start : start + self.page_size]
        metadata = {"resourceVersion": str(self._version)}
        if start + self.page_size < len(mine):
            metadata["continue"] = str(start + self.page_size)
        return web.json_response({"metadata": metadata, "items": page})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        if since < self.oldest:
            return _status(410, "Expired", "too old resource version")
        response = web.StreamResponse()
        await response.prepare(request)
        self._streams[id(request)] = request
        try:
            async with asyncio.timeout(float(request.query["timeoutSeconds"])):
                while True:
                    for version, path, kind, body in [entry for entry in self._history if entry[0] > since]:
                        since = version
                        if path.startswith(f"{request.path}/"):
                            await response.write(json.dumps({"type": kind, "object": body}).encode() + b"\n")
                    async with self._news:
                        await self._news.wait()
        except TimeoutError:
            return response
        finally:
            del self._streams[id(request)]

    async def _publish(self, kind: str, path: str) -> None:
        self._history.append((self._version, path, kind, self.objects[path]))
        await self._ring()

    async def _ring(self) -> None:
        async with self._news:
            self._news.notify_all()


@asynccontextmanager
async def fake_kube() -> AsyncIterator[FakeKube]:
    """A running server on a loopback port."""
    kube = FakeKube()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", kube.handle)
    runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    kube.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield kube
    finally:
        await runner.cleanup()


def _merge(old: Mapping[str, Any], patch: Mapping[str, Any]) -> Json:
    merged = dict(old)
    for name, value in patch.items():
        if isinstance(value, dict):
            merged[name] = _merge(merged.get(name) or {}, value)
        else:
            merged[name] = value
    return {name: value for name, value in merged.items() if value is not None}


def _status(code: int, reason: str, message: str) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code}
    return web.json_response(body, status=code)
