"""An endpoint for webhooks on a real socket, and a small world that has something to tell it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic

from linq_source.simulator import World
from tests.simulator.conftest import NOON


@dataclass
class Receiver:
    """An endpoint that keeps what it is sent; it answers `statuses` in turn, then 200, and hangs on request."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answering: threading.Event = field(default_factory=threading.Event)

    @property
    def bodies(self) -> list[bytes]:
        """In the order of arrival."""
        return [body for _, body in self.got]

    @property
    def texts(self) -> list[str]:
        """Of the messages told of."""
        return [json.loads(body)["data"]["text"] for body in self.bodies]


@contextmanager
def listening() -> Iterator[Receiver]:
    """A receiver at a free port."""
    known = Receiver()
    known.answering.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            known.got.append((headers, self.rfile.read(int(headers["content-length"]))))
            known.answering.wait(20)
            try:
                self.send_response(known.statuses.pop(0) if known.statuses else 200)
                self.end_headers()
            except OSError:
                self.close_connection = True  # whoever asked has hung up

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    known.url = f"http://127.0.0.1:{server.server_port}/hook?a=b"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield known
    finally:
        known.answering.set()
        server.shutdown()
        thread.join()
        server.server_close()


def small_world() -> World:
    """A number, a chat and a group, at noon."""
    world = World.empty()
    world.clock = lambda: NOON
    world.add_chat(["+12125550101"], chat_id=1)
    world.add_chat(["+12125550102", "bo@example.com"], chat_id=2)
    return world


def say(world: World, texts: int) -> list[str]:
    """So many messages, numbered."""
    return [world.send(1, str(number)).text for number in range(texts)]


def until(done: Callable[[], bool]) -> None:
    """Wait for what another thread or process does, ten seconds at most."""
    deadline = monotonic() + 10
    while not done() and monotonic() < deadline:
        threading.Event().wait(0.01)
