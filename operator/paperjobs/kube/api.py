"""A thin client of the API server: plain JSON in and out, a time limit on every request, errors in our words.

The client library's typed methods are passed by: importing the pod models costs 96 MB, and deserialising costs more
time than everything we do ourselves (measured). What is taken from it: credentials, TLS, connections.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client.rest import RESTClientObject

from paperjobs.errors import ClusterUnavailable, SettingsError
from paperjobs.kube.answers import Conflict, Json, NotFound, events, hang_up, parsed, refusal, unavailable
from paperjobs.kube.clock import ServerClock
from paperjobs.kube.login import Login, login

REQUEST_SECONDS: Final = 10.0
"""Longest time one request may take: a healthy API server answers within one second."""

PAGE: Final = 200
"""Objects per page of a listing. To read one keeps everything else waiting, the renewal of the lease too: a fifth of a
second for 1,000 pods."""

IN_FLIGHT: Final = 10
"""Requests at the same time: more only adds latency (measured), and watches must not starve."""

READING: Final = frozenset({"GET", "WATCH"})
"""Methods that change nothing."""

MERGE_PATCH: Final = "application/merge-patch+json"

VERBS: Final = {"WATCH": "GET", "REHEARSE": "POST"}
"""The HTTP methods behind requests that are something else for the metrics."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resource:
    """A kind of object as the API server addresses it."""

    group_version: str
    plural: str


JOBS: Final = Resource("apis/batch/v1", "jobs")
PODS: Final = Resource("api/v1", "pods")
EVENTS: Final = Resource("api/v1", "events")
LEASES: Final = Resource("apis/coordination.k8s.io/v1", "leases")
PAPERQUEUES: Final = Resource("apis/paperjobs.dev/v1alpha1", "paperqueues")
PAPERJOBS: Final = Resource("apis/paperjobs.dev/v1alpha1", "paperjobs")
APIBUDGETS: Final = Resource("apis/paperjobs.dev/v1alpha1", "apibudgets")


class RequestObserver(Protocol):
    """Told of every answer, for metrics."""

    def requested(self, verb: str, resource: str, code: int) -> None:
        """An answer with an HTTP status arrived; 0 when none did."""


@dataclass(frozen=True, kw_only=True)
class _Request:
    method: str
    resource: Resource
    name: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json | None = None
    timeout: aiohttp.ClientTimeout

    @property
    def content_type(self) -> str:
        return MERGE_PATCH if self.method == "PATCH" else "application/json"

    def path(self, namespace: str) -> str:
        path = f"/{self.resource.group_version}/namespaces/{namespace}/{self.resource.plural}"
        return path + (f"/{self.name}" if self.name else "") + (f"?{urlencode(self.query)}" if self.query else "")


class Api:
    """One namespace of one API server. Every method raises ClusterUnavailable or a kind of Refused."""

    def __init__(
        self,
        known: Login,
        namespace: str,
        observer: RequestObserver | None = None,
        *,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        """`may_write` is asked at the last moment before each write: a process that was paused wakes up in the middle
        of what it did, before its loop learns that another replica leads."""
        self.namespace = namespace
        self._may_write = may_write
        self.login = known
        self._rest = RESTClientObject(known.configuration)
        self._observer = observer
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._clock = ServerClock()

    async def __aenter__(self) -> Api:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._rest.close()
        await asyncio.sleep(0)  # Transports close in the loop's next turn.

    def now(self) -> int:
        """Unix milliseconds on the API server's clock."""
        return self._clock.now()

    async def get(self, resource: Resource, name: str, *, seconds: float = REQUEST_SECONDS) -> Json | None:
        """One object, or None when there is none of that name."""
        try:
            return await self._call("GET", resource, name, seconds=seconds)
        except NotFound:
            return None

    async def pages(self, resource: Resource, selector: str = "", fields: str = "") -> AsyncIterator[Json]:
        """Every object of a kind, page by page; the last page's resourceVersion is where a watch goes on. `selector`
        is about labels, `fields` about fields."""
        query = {"limit": str(PAGE)} | _selectors(selector, fields)
        while True:
            page = await self._call("GET", resource, query=query)
            yield page
            following = page["metadata"].get("continue")
            if not following:
                return
            query["continue"] = following

    async def rehearse(self, resource: Resource, body: Json) -> None:
        """Have an object checked as if it were created; raises what creating it would."""
        await self._call("REHEARSE", resource, query={"dryRun": "All"}, body=body)

    async def patch(self, resource: Resource, name: str, changes: Json) -> Json:
        """Merge changes into an object; raises NotFound."""
        return await self._call("PATCH", resource, name, body=changes)

    async def create(self, resource: Resource, body: Json, *, seconds: float = REQUEST_SECONDS) -> Json:
        """Create an object; raises AlreadyExists."""
        return await self._call("POST", resource, body=body, seconds=seconds)

    async def replace(self, resource: Resource, name: str, body: Json, *, seconds: float = REQUEST_SECONDS) -> Json:
        """Write an object as it should be; raises Conflict when its resourceVersion is not the current one."""
        return await self._call("PUT", resource, name, body=body, seconds=seconds)

    async def patch_status(self, resource: Resource, name: str, status: Mapping[str, Any]) -> Json:
        """Merge into an object's status: null removes a field, lists are replaced; raises NotFound."""
        return await self._call("PATCH", resource, f"{name}/status", body={"status": status})

    async def delete(self, resource: Resource, name: str, propagation: str = "Background", *, uid: str = "") -> None:
        """Delete an object and what it owns; nothing happens when it is gone, or has another uid than the one given."""
        body: Json = {"propagationPolicy": propagation} | ({"preconditions": {"uid": uid}} if uid else {})
        try:
            await self._call("DELETE", resource, name, body=body)
        except NotFound:
            return
        except Conflict:
            if not uid:
                raise

    @asynccontextmanager
    async def watch(
        self, resource: Resource, *, selector: str, fields: str = "", version: str, seconds: int
    ) -> AsyncIterator[AsyncIterator[Json]]:
        """Open a watch that the server ends after `seconds`; yields its events. Raises Gone for a version too old.

        A connection that died without a word is noticed 10 s after the server should have ended it."""
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        } | _selectors(selector, fields)
        timeout = aiohttp.ClientTimeout(
            total=seconds + REQUEST_SECONDS, sock_connect=REQUEST_SECONDS, sock_read=seconds + REQUEST_SECONDS
        )
        response = await self._send(_Request(method="WATCH", resource=resource, query=query, timeout=timeout))
        try:
            yield events(response)
        finally:
            hang_up(response)

    async def _call(
        self,
        method: str,
        resource: Resource,
        name: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        seconds: float = REQUEST_SECONDS,
    ) -> Json:
        request = _Request(
            method=method,
            resource=resource,
            name=name,
            query=query or {},
            body=body,
            timeout=aiohttp.ClientTimeout(total=seconds),
        )
        try:
            # The limit is for the server: whoever waits for a slot waits for us.
            async with self._slots, asyncio.timeout(seconds):
                response = await self._send(request)
                return parsed(await response.read())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise unavailable(error) from error

    async def _send(self, request: _Request) -> aiohttp.ClientResponse:
        if request.method not in READING and not self._may_write():
            raise ClusterUnavailable("this replica does not lead any more")
        response = await self._try(request)
        if response.status == 401:
            response.release()
            await self._login_again()
            response = await self._try(request)
        if response.status >= 400:
            raise await refusal(response)
        return response

    async def _try(self, request: _Request) -> aiohttp.ClientResponse:
        code = 0
        try:
            headers = {"Accept": "application/json", "User-Agent": "paperjobs", "Content-Type": request.content_type}
            token = await self.login.configuration.get_api_key_with_prefix("BearerToken")
            if token:
                headers["Authorization"] = token
            answer = await self._rest.request(
                VERBS.get(request.method, request.method),
                self.login.configuration.host + request.path(self.namespace),
                headers=headers,
                body=request.body,
                _request_timeout=request.timeout,
            )
            response: aiohttp.ClientResponse = answer.response
            code = response.status
            self._clock.heard(response.headers.get("Date"))
            return response
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise unavailable(error) from error
        finally:
            if self._observer is not None:
                self._observer.requested(request.method.lower(), request.resource.plural, code)

    async def _login_again(self) -> None:
        """Take fresh credentials after a 401; the connections stay, unless certificates changed."""
        logger.info("The API server does not accept the credentials; they are read again")
        try:
            self.login = await login()
        except SettingsError as error:
            raise ClusterUnavailable(str(error)) from error


def _selectors(labels: str, fields: str) -> dict[str, str]:
    return {name: value for name, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}
