"""Serves a world over HTTP from a background thread, so that a test or a demonstration needs no network."""

import asyncio
import re
import socket
import threading
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Self

from .api import Api
from .connection import Connection
from .faults import Fault, claimed, spoiled
from .oracle import Rows
from .render import Quirks
from .replies import Request, Response, error_body
from .world import World

_STOP_SECONDS = 10.0


class Simulator:
    """A local Linq: start it, point a client at `base_url`, look at `requests`.

    Used as a context manager, or by `start` and `stop`; stopped and started again it keeps its port.
    `requests` holds every request in the order of arrival, `faults` what goes wrong (see `Fault`).
    `before_request`, if set, is called in the server's thread with each request before it is answered,
    and may change the world. An exception in it, or in an operation, answers 500 and is raised by `stop`.
    `clock` (seconds, any origin) measures rate limits.
    """

    def __init__(
        self,
        world: World,
        token: str = "demo-token",  # noqa: S107 - opens nothing but the simulator
        host: str = "127.0.0.1",
        port: int = 0,
        latency_seconds: float = 0.0,
        requests_per_second: float | None = None,
        quirks: Quirks | None = None,
        *,
        keep_requests: bool = True,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.world = world
        self.token = token
        self.host = host
        self.port = port
        self.latency_seconds = latency_seconds
        self._quirks = quirks or Quirks()
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.before_request: Callable[[Request], None] | None = None
        self.lock = world.lock
        self.connections: set[Connection] = set()
        self._keep_requests = keep_requests
        self._failures: list[Exception] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._api = Api(world, token=token, quirks=self._quirks, requests_per_second=requests_per_second, clock=clock)

    @property
    def quirks(self) -> Quirks:
        """How it differs from the documentation; may be replaced at any time."""
        return self._quirks

    @quirks.setter
    def quirks(self, quirks: Quirks) -> None:
        with self.lock:
            self._quirks = quirks
            self._api.bend(quirks)

    @property
    def base_url(self) -> str:
        """Where it listens, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def start(self) -> Self:
        """Listen and serve; raises OSError when the port cannot be had."""
        if self._thread is not None:
            raise RuntimeError("The simulator has been started already")
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.create_server((self.host, self.port), family=family, backlog=512)
        self.port = listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._serve, args=(self._loop, listener, ready), name="linq-simulator", daemon=True
        )
        self._thread.start()
        ready.wait()
        return self

    def stop(self) -> None:
        """Drop all connections, even those that hang, and raise what went wrong inside, if anything."""
        if self._thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_SECONDS)
        self._thread = self._loop = None
        failures, self._failures = self._failures, []
        if failures:
            raise failures[0]

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; an exception of the block matters more than one of the server."""
        try:
            self.stop()
        except Exception:
            if error is None:
                raise

    def clear_requests(self) -> None:
        """Forget the requests so far."""
        self.requests.clear()

    def count(self, pattern: str) -> int:
        """How many requests have the regular expression somewhere in their `METHOD PATH`."""
        wanted = re.compile(pattern)
        return sum(bool(wanted.search(f"{request.method} {request.path}")) for request in list(self.requests))

    def listed(self) -> Rows:
        """The world's oracle, cut to the precision of time that this server shows."""
        milliseconds = self.quirks.time_style == "milliseconds"
        return self.world.listed("milliseconds" if milliseconds else "seconds")

    def handle(self, request: Request) -> tuple[Response, Fault | None]:
        """Answer one request; called by connections in the server's thread."""
        if self._keep_requests:
            self.requests.append(request)
        fault = None
        with self.lock:
            try:
                if self.before_request is not None:
                    self.before_request(request)
                fault = claimed(self.faults, request) if self.faults else None
                answer = self._api.answer
                response = answer(request) if fault is None else spoiled(fault, request, answer)
            except Exception as error:  # noqa: BLE001 - a server answers, whatever happens
                self._failures.append(error)
                response = Response(500, error_body(request.path, 500, "The simulator failed"))
        request.status = response.status
        return response, fault

    def _serve(self, loop: asyncio.AbstractEventLoop, listener: socket.socket, ready: threading.Event) -> None:
        try:
            server = loop.run_until_complete(loop.create_server(lambda: Connection(self), sock=listener))
            ready.set()
            loop.run_forever()
            loop.run_until_complete(self._close(server))
            loop.run_until_complete(server.wait_closed())
        finally:
            ready.set()
            loop.close()

    async def _close(self, server: asyncio.Server) -> None:
        """Take no more connections and drop those there are."""
        # Closed while it accepts a connection, asyncio's server would leave that one open for ever.
        while accepting := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.gather(*accepting, return_exceptions=True)
        server.close()
        while self.connections:
            for connection in list(self.connections):
                connection.abort()
            await asyncio.sleep(0)
