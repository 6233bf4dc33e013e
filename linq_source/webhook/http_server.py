"""A small HTTP/1.1 server that hostile clients cannot hold: h11 on asyncio, with deadlines and limits of its own.

Why not one of the usual servers: measured, uvicorn keeps half-sent headers and half-sent bodies open for longer than
20 s and takes a body of 200 MB; granian cuts slow headers but not slow bodies. h11 is what uvicorn parses with, and
httpx's httpcore too; around it only these deadlines are needed.
"""

import asyncio
import logging
from collections import Counter
from contextlib import suppress

from linq_source.webhook.http_connection import Connection
from linq_source.webhook.http_messages import Application, HttpLimits

log = logging.getLogger("linq_source.webhook")

_SWEEP_SECONDS = 0.25


class HttpServer:
    """Serves an application on one address. Building it opens nothing."""

    def __init__(self, application: Application, limits: HttpLimits | None = None) -> None:
        self.application = application
        self.limits = limits or HttpLimits()
        self.statuses: Counter[int] = Counter()
        self.connections: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}
        self.body_bytes = 0
        self.is_draining = False
        self.port = 0
        self._all_gone = asyncio.Event()
        self._all_gone.set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen; raises OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=2048)
        self.port = self._server.sockets[0].getsockname()[1]
        self._sweeper = loop.create_task(self._sweep())

    async def stop(self, *, timeout_seconds: float) -> None:
        """Take no more connections, let requests in flight end, then drop what is left."""
        self.is_draining = True
        if self._server:
            self._server.close()
        for connection in list(self.connections):
            connection.close_if_idle()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._all_gone.wait()
        for connection in list(self.connections):
            connection.give_up()
        if self._sweeper:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper

    def admit(self, connection: Connection) -> None:
        """Count a new connection in; above the limit, the one that has kept us waiting longest goes."""
        if len(self.connections) >= self.limits.connections:
            oldest = next(iter(self._waiting), connection)
            oldest.abort()
        self.connections.add(connection)
        self._all_gone.clear()

    def forget(self, connection: Connection) -> None:
        """Count a connection out."""
        self.connections.discard(connection)
        self._waiting.pop(connection, None)
        if not self.connections:
            self._all_gone.set()

    def owes_bytes(self, connection: Connection, *, yes: bool) -> None:
        """Put a connection last in the line of those that keep us waiting, or take it out."""
        self._waiting.pop(connection, None)
        if yes:
            self._waiting[connection] = None

    def make_room(self, connection: Connection) -> bool:
        """Drop unfinished bodies of others, longest waiting first, until all fit; False where they do not."""
        if self.body_bytes > self.limits.all_bodies_bytes:
            for other in [each for each in self._waiting if each.holds_a_body and each is not connection]:
                other.abort()
                if self.body_bytes <= self.limits.all_bodies_bytes:
                    break
        return self.body_bytes <= self.limits.all_bodies_bytes

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = loop.time()
            for connection in [each for each in self.connections if each.deadline <= now]:
                try:
                    connection.expire()
                except Exception as error:  # noqa: BLE001  # the deadlines of all others hang on this task
                    log.error("A connection could not be ended (%s): this is a defect", type(error).__name__)  # noqa: TRY400
                    connection.abort()
