"""The HTTP transport under every stand-in: one threaded loopback server per service.

It reads a request, records it, lets a planned fault strike or asks the service, and writes the answer. Other processes
steer it over two paths of its own: `/__faults__` (POST adds one, DELETE forgets all) and `/__requests__` (GET, DELETE).
"""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from paperjobs_standins.exchange import FAULTS_PATH, REQUESTS_PATH, Answer, BadRequestBody, Request, Service
from paperjobs_standins.faults import Fault, FaultError, FaultKind, FaultPlan
from paperjobs_standins.wire import Listener

GARBAGE = "<!doctype html><html><body>Please sign in to the guest network</body></html>"

S = TypeVar("S", bound=Service)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One request that arrived, for assertions. Bodies and credentials are not kept."""

    method: str
    target: str
    status: int | None
    """The status answered; None while unanswered, and when the connection was dropped instead."""
    fault: FaultKind | None


class LoopbackServer(Generic[S]):
    """Serves one service on the loopback interface, from `start` to `stop`."""

    def __init__(self, service: S, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.service = service
        self.plan = FaultPlan()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._recorded: list[Recorded] = []
        self._connections: set[socket.socket] = set()
        self._server = Listener((host, port), self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name=f"standin-{service.name}", daemon=True
        )

    @property
    def url(self) -> str:
        """`http://host:port`, without a trailing slash."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def requests(self) -> tuple[Recorded, ...]:
        """Every request so far, in the order of arrival; the steering paths are not counted."""
        with self._lock:
            return tuple(self._recorded)

    def fault(self, kind: FaultKind | str, **details: Any) -> None:
        """Plan a fault; the details are the fields of `Fault`."""
        self.plan.add(Fault.from_json({"kind": kind, **details}))

    def clear(self) -> None:
        """Forget planned faults and recorded requests."""
        self.plan.clear()
        with self._lock:
            self._recorded.clear()

    def env(self) -> dict[str, str]:
        """The environment variables that make the runner use this server."""
        return self.service.env(self.url)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving, wake every hanging answer and close every connection."""
        self._stopping.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def opened(self, connection: socket.socket) -> None:
        """Remember a connection, so that `stop` can close it."""
        with self._lock:
            self._connections.add(connection)

    def closed(self, connection: socket.socket) -> None:
        """Forget a connection that has ended."""
        with self._lock:
            self._connections.discard(connection)

    def receive(self, request: Request) -> tuple[int, Fault | None]:
        """Note that a request arrived; returns its number for `answer`, and the fault that strikes it."""
        fault = self.plan.take(request)
        kind = fault.kind if fault else None
        with self._lock:
            self._recorded.append(Recorded(method=request.method, target=request.target, status=None, fault=kind))
            return len(self._recorded) - 1, fault

    def delay(self, seconds: float) -> None:
        """Return after that time, or when the server stops."""
        self._stopping.wait(seconds)

    def answer(self, number: int, request: Request, fault: Fault | None) -> Answer:
        """The service's answer, or the fault's, whose status is noted."""
        answer = self._faulty(fault) if fault else None
        if answer is None:
            answer = self.service.answer(request)
        with self._lock:
            if number < len(self._recorded):
                self._recorded[number] = replace(self._recorded[number], status=answer.status)
        return answer

    def steer(self, request: Request) -> Answer | None:
        """Answer one of the two steering paths; None for any other."""
        return self._steered(request) if request.path in (FAULTS_PATH, REQUESTS_PATH) else None

    def _steered(self, request: Request) -> Answer:
        if request.path == REQUESTS_PATH and request.method == "GET":
            recorded = self.requests
            return Answer.json({"count": len(recorded), "requests": [vars(one) for one in recorded]})
        if request.path == REQUESTS_PATH and request.method == "DELETE":
            with self._lock:
                self._recorded.clear()
            return Answer(status=204)
        if request.path == FAULTS_PATH and request.method == "DELETE":
            self.plan.clear()
            return Answer(status=204)
        if request.path == FAULTS_PATH and request.method == "POST":
            try:
                self.plan.add(Fault.from_json(request.json()))
            except (FaultError, BadRequestBody, TypeError) as error:
                return Answer.json({"error": str(error)}, status=400)
            return Answer.json({"planned": True}, status=201)
        return Answer.json({"error": "GET or DELETE /__requests__, POST or DELETE /__faults__"}, status=405)

    def _faulty(self, fault: Fault) -> Answer | None:
        """The wrong answer of a fault that gives one; None for those that drop or delay the true one."""
        if fault.kind is FaultKind.STATUS:
            answer = self.service.failure(fault.status)
            headers = dict(answer.headers)
            if fault.retry_after is not None:
                headers["Retry-After"] = str(fault.retry_after)
            body = answer.body if fault.body is None else fault.body.encode()
            return Answer(status=fault.status, body=body, content_type=answer.content_type, headers=headers)
        if fault.kind is FaultKind.GARBAGE:
            return Answer(body=(fault.body or GARBAGE).encode(), content_type="text/html; charset=utf-8")
        if fault.kind is FaultKind.REPLY:
            return Answer(body=(fault.body or "").encode())
        if fault.kind is FaultKind.REDIRECT:
            return Answer(status=302, headers={"Location": fault.location})
        if fault.kind is FaultKind.EMPTY:
            return self.service.empty()
        return None
