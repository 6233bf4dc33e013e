"""What goes through the HTTP server: heads of requests, responses, the application that answers, and the limits."""

from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What a client may take. Times in seconds, sizes in bytes."""

    request_seconds: float = 8.0
    """From the first byte (or the connection) to the last one of a request."""
    answer_seconds: float = 8.0
    idle_seconds: float = 75.0
    head_bytes: int = 16 * 1024
    body_bytes: int = 1024 * 1024
    all_bodies_bytes: int = 64 * 1024 * 1024
    """Of all requests together that are being received."""
    connections: int = 4096


@dataclass(frozen=True, slots=True)
class Head:
    """A request before its body. Names of headers are in lower case."""

    method: str
    path: str
    headers: list[tuple[bytes, bytes]]

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of every header of this name."""
        return [value for each, value in self.headers if each == name]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; text or JSON, never of a client's making."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def head_of(response: Response, *, at: int, is_last: bool) -> bytes:
    """Return what goes before a response's body; `at` in seconds since 1970, `is_last` where we close after it."""
    headers = {
        "Date": _date(at),
        "Content-Type": "application/json",
        "Content-Length": str(len(response.body)),
    } | response.headers
    if is_last:
        headers["Connection"] = "close"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}\r\n{lines}\r\n".encode("ascii")


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    """Return a time as HTTP writes it: many answers go in one second."""
    return formatdate(second, usegmt=True)


Answer = Callable[[Response], None]


class Application(Protocol):
    """What answers requests."""

    def check(self, head: Head) -> Response | None:
        """Return a refusal for which the body need not be read."""

    def respond(self, head: Head, body: bytes, answer: Answer) -> None:
        """Have `answer` called once, now or later, in the event loop."""


BUSY = Response(503, b'{"error":"busy"}', {"Retry-After": "5"})
