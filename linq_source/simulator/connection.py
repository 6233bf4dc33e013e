"""One HTTP connection: bytes in, requests out, answers back, and the faults that break it midway."""

import asyncio
import socket
import struct
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol

import h11

from .faults import Fault
from .replies import Request, Response

_JSON_TYPE = "application/json; charset=utf-8"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_RESET_DELAY_SECONDS = 0.02


class Host(Protocol):
    """What a connection needs of the server."""

    latency_seconds: float
    connections: set["Connection"]

    def handle(self, request: Request) -> tuple[Response, Fault | None]:
        """The answer to a request and the fault that it meets on the wire, if any."""


class Connection(asyncio.Protocol):
    """Keeps the connection alive from request to request; answers in order."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._http = h11.Connection(h11.SERVER)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._head: h11.Request | None = None
        self._body: list[bytes] = []
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._host.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or the server stops."""
        del exc
        self._host.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes of one request, part of one, or several."""
        self._http.receive_data(data)
        self._read()

    def _read(self) -> None:
        while not self._transport.is_closing():
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                self._transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                self._transport.close()
                return
            if isinstance(event, h11.Request):
                self._head, self._body = event, []
                if self._http.they_are_waiting_for_100_continue:
                    more = h11.InformationalResponse(status_code=100, headers=[])
                    self._transport.write(self._http.send(more) or b"")
            elif isinstance(event, h11.Data):
                self._body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self._answer()
                return
            else:
                return

    def _answer(self) -> None:
        assert self._head is not None
        headers = {bytes(name).decode(): bytes(value).decode("latin-1") for name, value in self._head.headers}
        target = bytes(self._head.target).decode("latin-1")
        method = bytes(self._head.method).decode()
        request = Request.parsed(method, target, headers, b"".join(self._body))
        response, fault = self._host.handle(request)
        if self._host.latency_seconds > 0:
            self._later(self._host.latency_seconds, lambda: self._deliver(response, fault))
        else:
            self._deliver(response, fault)

    def _deliver(self, response: Response, fault: Fault | None) -> None:
        match fault:
            case Fault(kind="hang"):
                return  # Until the client gives up or the server stops.
            case Fault(kind="reset"):
                self._reset(after_headers=fault.after_headers)
            case Fault(kind="short_body"):
                head, body = self._encoded(response)
                self._transport.write(head + body[: len(body) // 2])
                self._transport.close()
            case Fault(kind="drip"):
                head, body = self._encoded(response)
                self._transport.write(head)
                self._drip(body, 0, fault.interval)
            case _:
                self._transport.write(b"".join(self._encoded(response)))
                self._next()

    def _next(self) -> None:
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._read()
        else:
            self._transport.close()

    def _encoded(self, response: Response) -> tuple[bytes, bytes]:
        """The head and the body as they go over the wire."""
        headers = {"Date": formatdate(usegmt=True), "Server": "linq-simulator"}
        if response.status != 204:
            headers["Content-Length"] = str(len(response.body))
        if response.body:
            headers["Content-Type"] = _JSON_TYPE
        headers.update(response.headers)
        head = h11.Response(
            status_code=response.status,
            headers=list(headers.items()),
            reason=_reason(response.status).encode(),
        )
        sent = self._http.send(head) or b""
        body = (self._http.send(h11.Data(data=response.body)) or b"") if response.body else b""
        self._http.send(h11.EndOfMessage())
        return sent, body

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        self._timer = self._loop.call_later(seconds, action)

    def _reset(self, *, after_headers: bool) -> None:
        if after_headers:
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
            # The client must get these bytes before the reset throws them away.
            self._later(_RESET_DELAY_SECONDS, self._reset_now)
        else:
            self._reset_now()

    def _reset_now(self) -> None:
        raw = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def _drip(self, body: bytes, position: int, interval: float) -> None:
        if position < len(body):
            self._transport.write(body[position : position + 1])
            self._later(interval, lambda: self._drip(body, position + 1, interval))
        else:
            self._transport.close()


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
