"""One connection: requests off the wire, answers onto it, and the faults that belong to neither."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from paperjobs_standins.exchange import Answer, Request
from paperjobs_standins.faults import Fault, FaultKind

CHUNK = 65_536
ENDLESS_CHUNKS = 8_000
"""Half a gigabyte: more than any client of ours takes."""


class Owner(Protocol):
    """The stand-in behind the connections."""

    @property
    def url(self) -> str:
        """`http://host:port`, without a trailing slash."""
        ...

    def opened(self, connection: socket.socket) -> None:
        """A client has connected."""
        ...

    def closed(self, connection: socket.socket) -> None:
        """A connection has ended."""
        ...

    def steer(self, request: Request) -> Answer | None:
        """Answer a request that is meant for the stand-in itself; None for any other."""
        ...

    def receive(self, request: Request) -> tuple[int, Fault | None]:
        """Record a request; returns its number, and the planned fault that it meets."""
        ...

    def delay(self, seconds: float) -> None:
        """Return after that time, or when the stand-in stops."""
        ...

    def answer(self, number: int, request: Request, fault: Fault | None) -> Answer:
        """Answer a received request: as the service would, or wrongly if that is its fault."""
        ...


class Listener(ThreadingHTTPServer):
    """Accepts connections for one stand-in, each on a thread of its own."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: Owner) -> None:
        self.owner = owner
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news; anything else prints its traceback as usual."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "paperjobs-standin"
    sys_version = ""
    server: Listener
    # Head and body leave as two writes; without this the second waits for the client's delayed ACK (40 ms).
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.owner.opened(self.connection)

    def finish(self) -> None:
        self.server.owner.closed(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are recorded, not printed."""

    def exchange(self) -> None:
        """One request, from its body to the answer."""
        owner = self.server.owner
        request = self._request()
        if (steered := owner.steer(request)) is not None:
            self._write(steered)
            return
        number, fault = owner.receive(request)
        if fault is not None:
            if fault.kind in (FaultKind.HANG, FaultKind.SLOW):
                owner.delay(fault.seconds)
            if fault.kind is FaultKind.HANG:
                self.close_connection = True
                return
            if fault.kind is FaultKind.RESET:
                self._reset()
                return
        answer = owner.answer(number, request, fault)
        if fault is not None and fault.kind is FaultKind.LOST:
            self._reset()
            return
        self._write(answer, fault.kind if fault else None)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = exchange

    def _request(self) -> Request:
        split = urlsplit(self.path)
        return Request(
            method=self.command,
            target=self.path,
            path=split.path,
            query=dict(parse_qsl(split.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self._body(),
            base_url=self.server.owner.url,
        )

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0].strip() or b"0", 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def _write(self, answer: Answer, fault: FaultKind | None = None) -> None:
        chunked = fault in (FaultKind.CHUNKED, FaultKind.ENDLESS)
        self.send_response(answer.status)
        names = {name.lower() for name in answer.headers}
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "content-type" not in names and answer.body:
            self.send_header("Content-Type", answer.content_type)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif "content-length" not in names and answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if chunked:
            self._write_chunks(answer.body, ENDLESS_CHUNKS if fault is FaultKind.ENDLESS else 0)
        elif fault is FaultKind.TRUNCATE:
            self.wfile.write(answer.body[: len(answer.body) // 2])
            self.close_connection = True
        else:
            self.wfile.write(answer.body)

    def _write_chunks(self, body: bytes, filler: int) -> None:
        for start in range(0, len(body), CHUNK):
            self._write_chunk(body[start : start + CHUNK])
        for _ in range(filler):
            self._write_chunk(b" " * CHUNK)
        self._write_chunk(b"")

    def _write_chunk(self, chunk: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))

    def _reset(self) -> None:
        # Lingering for zero seconds makes close() send RST instead of FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.server.owner.closed(self.connection)
        self.close_connection = True
        self.rfile.close()
        self.connection.close()
