"""A proxy before the API server that can be told to misbehave, as load balancers, overloaded servers and networks do.

It speaks plain HTTP on loopback, so a kubeconfig that names it needs no certificate. It works in a thread of its own,
so tests may block.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import yaml
from aiohttp import web

from support.kubeconfig import ApiAccess, read_kubeconfig
from support.ports import free_port

HOP_BY_HOP: Final = ("Host", "Connection", "Transfer-Encoding", "Content-Length", "Content-Encoding", "Keep-Alive")


@dataclass(frozen=True)
class Asked:
    """A request that arrived."""

    at: float
    """time.monotonic()."""
    method: str
    path: str
    watch: bool

    @property
    def reads(self) -> bool:
        """A get, list or watch."""
        return self.method == "GET"

    @property
    def about_leases(self) -> bool:
        return "/leases" in self.path


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to the requests it concerns."""

    concerns: Callable[[Asked], bool]
    answer: int = 0
    """An HTTP status instead of the server's answer."""
    retry_after: str = ""
    hang: bool = False
    """No answer, ever."""
    delay: float = 0.0
    """Seconds before the request is passed on."""
    lose_answer: bool = False
    """The server gets it and does it; the connection is cut before the answer."""


class FaultyApi:
    """A running proxy; made by `faulty_api`. Every method may be called from any thread but its own."""

    def __init__(self, kubeconfig: Path) -> None:
        self.port: Final = free_port()
        self.asked: Final[list[Asked]] = []
        """Every request, in order."""
        self._access: ApiAccess = read_kubeconfig(kubeconfig)
        self._faults: list[Fault] = []
        self._open: set[asyncio.Task[object]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty api", daemon=True)
        self._site: web.TCPSite | None = None
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    def break_with(self, *faults: Fault) -> None:
        """From now on the first fault that concerns a request happens to it."""
        self._faults = list(faults)

    def heal(self) -> None:
        """Take every fault back; what hangs is cut."""
        self._faults = []
        self.cut()

    def cut(self) -> None:
        """Close every connection in use: watches, and requests without an answer."""
        self._do(self._cut())

    def refuse(self) -> None:
        """Nobody listens any more, as when the server is down."""
        self._do(self._refuse())

    def listen(self) -> None:
        """Accept connections (again)."""
        self._do(self._listen())

    def start(self) -> None:
        self._thread.start()
        self.listen()

    def stop(self) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: object) -> None:
        assert asyncio.iscoroutine(work)
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _listen(self) -> None:
        if self._runner is None:
            connector = aiohttp.TCPConnector(ssl=self._access.tls, limit=0)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
            app = web.Application(client_max_size=2**24)
            app.router.add_route("*", "/{path:.*}", self._handle)
            self._runner = web.AppRunner(app, shutdown_timeout=0.1)
            await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await self._site.start()

    async def _refuse(self) -> None:
        assert self._site is not None
        await self._site.stop()
        await self._cut()

    async def _stop(self) -> None:
        await self._cut()
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()
        await asyncio.sleep(0.1)

    async def _cut(self) -> None:
        for task in list(self._open):
            task.cancel()
        await asyncio.sleep(0)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        watch = request.query.get("watch") in ("1", "true")
        asked = Asked(at=time.monotonic(), method=request.method, path=request.path, watch=watch)
        self.asked.append(asked)
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            return await self._serve(request, asked)
        except asyncio.CancelledError:
            _hang_up(request)
            raise
        finally:
            self._open.discard(task)

    async def _serve(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        fault = next((fault for fault in self._faults if fault.concerns(asked)), None)
        if fault is not None and fault.answer:
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            return web.json_response({"kind": "Status", "message": "on purpose"}, status=fault.answer, headers=headers)
        if fault is not None and fault.hang:
            await asyncio.Event().wait()
        if fault is not None and fault.delay:
            await asyncio.sleep(fault.delay)
        return await self._pass_on(request, cut=fault is not None and fault.lose_answer)

    async def _pass_on(self, request: web.Request, *, cut: bool) -> web.StreamResponse:
        assert self._session is not None
        headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP}
        async with self._session.request(
            request.method,
            self._access.url + request.path_qs,
            headers=headers,
            data=await request.read() or None,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as answer:
            if cut:
                await answer.read()
                _hang_up(request)
                return web.Response()
            kept = {name: value for name, value in answer.headers.items() if name not in HOP_BY_HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            with suppress(ConnectionError):  # the client has gone
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
            return response


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


@contextmanager
def faulty_api(kubeconfig: Path) -> Iterator[FaultyApi]:
    """A proxy before the API server of a kubeconfig."""
    proxy = FaultyApi(kubeconfig)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()


def through(proxy: FaultyApi, kubeconfig: Path) -> Path:
    """A copy of a kubeconfig that leads to the proxy instead."""
    content = yaml.safe_load(kubeconfig.read_text())
    for entry in content["clusters"]:
        entry["cluster"] = {"server": f"http://127.0.0.1:{proxy.port}"}
    path = kubeconfig.with_name(f"{kubeconfig.stem}-proxied.kubeconfig")
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content))
    return path
