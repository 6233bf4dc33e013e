"""One HTTP/1.1 connection that a hostile client cannot hold: h11 under deadlines and limits."""

import asyncio
import logging
import time
from collections import Counter
from contextlib import suppress
from enum import Enum, auto
from typing import Protocol

import h11

from linq_source.webhook.http_messages import BUSY, Application, Head, HttpLimits, Response, head_of

log = logging.getLogger("linq_source.webhook")

_LINGER_SECONDS = 1.0
_LINGER_BYTES = 4 * 1024 * 1024
_EVENTS_AT_ONCE = 20
"""Parts of requests that one client has read in one go, before the others have their turn."""
_CHUNKS_OF_ANY_SIZE = 16
_CHUNK_BYTES = 64
"""What chunks must hold on average after those: each costs h11 as much as a large one. A proxy's hold kilobytes.

Few enough that they are refused in their first turn: the turns of hundreds of such clients are what others wait for.
"""


class Host(Protocol):
    """What a connection needs of its server."""

    application: Application
    limits: HttpLimits
    statuses: Counter[int]
    body_bytes: int
    is_draining: bool

    def admit(self, connection: "Connection") -> None:
        """Count a new connection in."""

    def forget(self, connection: "Connection") -> None:
        """Count a connection out."""

    def owes_bytes(self, connection: "Connection", *, yes: bool) -> None:
        """Put a connection last in the line of those that keep us waiting, or take it out."""

    def make_room(self, connection: "Connection") -> bool:
        """Drop unfinished bodies of others, longest waiting first, until all fit; False where they do not."""


class _State(Enum):
    IDLE = auto()
    READING = auto()
    ANSWERING = auto()
    LINGERING = auto()
    CLOSED = auto()


class Connection(asyncio.Protocol):
    """One connection, from request to request."""

    def __init__(self, server: Host) -> None:
        self.deadline = 0.0
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._http = self._reader()
        self._state = _State.IDLE
        self._head: Head | None = None
        self._body = bytearray()
        self._chunks = 0
        self._thrown_away = 0
        self._request = 0
        self._is_last = False
        self._goes_on = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.admit(self)
        self._await(_State.IDLE, self._server.limits.request_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or we closed."""
        del exc
        self._state = _State.CLOSED
        self._release()
        self._server.forget(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, or of one that was refused already."""
        if self._state is _State.LINGERING:
            self._thrown_away += len(data)
            if self._thrown_away > _LINGER_BYTES:
                self.abort()
            return
        if self._state is _State.IDLE:
            self._await(_State.READING, self._server.limits.request_seconds)
        elif self._state is _State.ANSWERING:
            # What comes before the answer waits in the socket, but for this piece.
            self._transport.pause_reading()
        self._http.receive_data(data)
        if not self._goes_on:
            self._advance()

    def pause_writing(self) -> None:
        """Hundreds of answers wait: the client sends and sends and takes none."""
        self.abort()

    def eof_received(self) -> bool:
        """The client sends no more; it may still want its answer."""
        self._is_last = True
        return self._state is _State.ANSWERING

    def expire(self) -> None:
        """The deadline has passed."""
        match self._state:
            case _State.READING:
                self._refuse(Response(408, b'{"error":"too slow"}'))
            case _State.ANSWERING:
                self._answer(self._request, BUSY)
            case _:
                self.abort()

    def close_if_idle(self) -> None:
        """Close between two requests."""
        if self._state is _State.IDLE:
            self._transport.close()

    def give_up(self) -> None:
        """Answer that we are busy, if an answer is owed, and close."""
        if self._state is _State.ANSWERING:
            self._answer(self._request, BUSY)
            self._transport.close()
        else:
            self.abort()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._state = _State.CLOSED
        self._release()
        self._transport.abort()
        self._server.forget(self)

    def _await(self, state: _State, seconds: float) -> None:
        if self._state is _State.CLOSED:
            return  # Dropped on the way, as by pause_writing.
        self._state = state
        self.deadline = self._loop.time() + seconds
        self._server.owes_bytes(self, yes=state is not _State.ANSWERING)

    def _release(self) -> None:
        self._server.body_bytes -= len(self._body)
        self._body = bytearray()

    @property
    def holds_a_body(self) -> bool:
        """Whether bytes of an unfinished body are kept for it."""
        return self._state is _State.READING and bool(self._body)

    def _advance(self) -> None:
        self._goes_on = False
        for _ in range(_EVENTS_AT_ONCE):
            if self._state is not _State.READING or self._transport.is_closing():
                return
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                # h11 suggests 501 for encodings it does not know; what a client sent is never our failure.
                status = error.error_status_hint if error.error_status_hint in (413, 431) else 400
                self._refuse(Response(status, b'{"error":"not a valid request"}'))
                return
            if isinstance(event, h11.Request):
                self._begin(event)
            elif isinstance(event, h11.Data):
                self._chunks += event.chunk_start
                self._collect(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self._complete()
            else:
                self._transport.resume_reading()
                return
        if self._state is _State.READING:
            self._go_on()

    def _go_on(self) -> None:
        """Read on in what has come, after the others had their turn."""
        self._transport.pause_reading()
        if not self._goes_on:
            self._goes_on = True
            self._loop.call_soon(self._advance)

    def _begin(self, request: h11.Request) -> None:
        head = Head(
            bytes(request.method).decode("ascii"),
            bytes(request.target).decode("latin-1").partition("?")[0],
            [(bytes(name).lower(), bytes(value)) for name, value in request.headers.raw_items()],
        )
        self._head, self._chunks = head, 0
        refusal = self._check(request, head) or self._server.application.check(head)
        if refusal:
            self._refuse(refusal)
        elif self._http.they_are_waiting_for_100_continue:
            more = h11.InformationalResponse(status_code=100, headers=[])
            self._transport.write(self._http.send(more) or b"")

    def _check(self, request: h11.Request, head: Head) -> Response | None:
        limits, lengths = self._server.limits, head.values(b"content-length")
        # h11 bounds the size of a head that comes in pieces only.
        if sum(len(name) + len(value) for name, value in head.headers) + len(request.target) > limits.head_bytes:
            return Response(431, b'{"error":"headers too large"}')
        # RFC 9112, 6.1: a length besides chunks, or chunks in HTTP/1.0, may be read otherwise by who passed it on.
        is_ambiguous = head.values(b"transfer-encoding") and (lengths or request.http_version == b"1.0")
        if is_ambiguous or request.http_version not in (b"1.0", b"1.1"):
            return Response(400, b'{"error":"not a valid request"}')
        if lengths and int(lengths[0]) > limits.body_bytes:
            return Response(413, b'{"error":"body too large"}')
        return None

    def _collect(self, data: bytes) -> None:
        self._server.body_bytes += len(data)
        self._body += data
        if len(self._body) > self._server.limits.body_bytes:
            self._refuse(Response(413, b'{"error":"body too large"}'))
        elif self._chunks > _CHUNKS_OF_ANY_SIZE and len(self._body) < self._chunks * _CHUNK_BYTES:
            self._refuse(Response(400, b'{"error":"chunks too small"}'))
        elif not self._server.make_room(self):
            self._refuse(BUSY)

    def _complete(self) -> None:
        assert self._head is not None
        self._await(_State.ANSWERING, self._server.limits.answer_seconds)
        self._request += 1
        number, body = self._request, bytes(self._body)
        try:
            self._server.application.respond(self._head, body, lambda response: self._answer(number, response))
        except Exception as error:  # noqa: BLE001  # the sender must be told to send again, whatever it is
            log.error("A request could not be answered (%s): this is a defect", type(error).__name__)  # noqa: TRY400
            self._answer(number, BUSY)

    def _answer(self, number: int, response: Response) -> None:
        if self._state is not _State.ANSWERING or number != self._request:
            return  # The client has gone, or was told that we are busy.
        self._release()
        # Not DONE where the client asked for that, speaks HTTP/1.0, or would switch to another protocol.
        is_last = self._http.their_state is not h11.DONE or response.status >= 400 or self._server.is_draining
        self._send(response, is_last=is_last)
        if is_last:
            self._close()
        else:
            self._next()

    def _next(self) -> None:
        """Read the next request, of which some may have come already."""
        more, limits = self._http.trailing_data[0], self._server.limits
        self._http, self._head = self._reader(), None
        if more:
            self._http.receive_data(more)
            self._await(_State.READING, limits.request_seconds)
            self._go_on()
        elif self._is_last:
            self._close()
        else:
            self._await(_State.IDLE, limits.idle_seconds)
            self._transport.resume_reading()

    def _reader(self) -> h11.Connection:
        """Return what reads one request. It is not told of the answer, which is ours alone and takes h11 as long."""
        return h11.Connection(h11.SERVER, max_incomplete_event_size=self._server.limits.head_bytes)

    def _refuse(self, response: Response) -> None:
        """Answer without having read all; what still comes is thrown away for a moment, so that this arrives."""
        self._release()
        self._send(response, is_last=True)
        if self._transport.is_closing():
            self._state = _State.CLOSED
            return
        self._await(_State.LINGERING, _LINGER_SECONDS)
        self._transport.resume_reading()
        with suppress(OSError):  # a client that has reset the connection meanwhile
            self._transport.write_eof()

    def _close(self) -> None:
        # Nothing more is read; the sweep aborts a client that does not take its answer.
        self._await(_State.LINGERING, _LINGER_SECONDS)
        self._transport.close()

    def _send(self, response: Response, *, is_last: bool) -> None:
        self._server.statuses[response.status] += 1
        head = head_of(response, at=int(time.time()), is_last=is_last)
        has_body = self._head is None or self._head.method != "HEAD"
        self._transport.write(head + response.body if has_body else head)
