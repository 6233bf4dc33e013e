"""A connection whose other end speaks badly: nothing that arrived is in the log, and what is said of it is so."""

import asyncio
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import cast

import httpx
import pytest

from linq_source import settings
from linq_source.answers import describe
from linq_source.client import LinqClient
from linq_source.errors import UnavailableError
from linq_source.webhook.subscriptions import SubscriptionsClient
from tests.support import with_limits

pytestmark = pytest.mark.without_dlt

TOKEN = "canarytoken5f1e"
ROW = b'{"phone_numbers":[{"id":1,"phone_number":"+12125550199"}],"text":"canarytext of a message"}'
CANARIES = (TOKEN, "2125550199", "canarytext")
LIMITS = with_limits(attempts=2, concurrency=1)

ANSWERS = {
    "a wrong size of a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n"
    + ROW[:2] + b"\r\n" + ROW[2:] + b"\r\n0\r\n\r\n",
    "more than its length": b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\n{}" + ROW + b"\r\n\r\n",
    "the token in a header that is none": b"HTTP/1.1 200 OK\r\nX Echo: " + TOKEN.encode() + b"\r\n\r\n{}",
    "no status": ROW + b"\r\n\r\n",
}  # fmt: skip


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    answer = b""


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with suppress(OSError):
            for line in self.rfile:
                if not line.strip():
                    self.wfile.write(cast("_Server", self.server).answer)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The base URL of a server that gives one answer to all."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.answer = answer
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


async def _read(base_url: str) -> None:
    async with LinqClient(TOKEN, base_url=base_url, limits=LIMITS) as client:
        await client.get(settings.PHONE_NUMBERS, read=lambda body: body)


def _list(base_url: str) -> None:
    with SubscriptionsClient(TOKEN, base_url=base_url, sleep=lambda _: None) as client:
        client.list()


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("ask", [lambda url: asyncio.run(_read(url)), _list], ids=["sync", "subscriptions"])
def test_what_cannot_be_read_as_http_is_quoted_in_no_log_and_no_error(
    ask: Callable[[str], None], answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with answering(answer) as base_url, caplog.at_level(1), pytest.raises(UnavailableError) as failure:
        ask(base_url)
    spoken = f"{caplog.text}\n{failure.value}".lower()
    assert [canary for canary in CANARIES if canary in spoken] == []
    assert "receive_response_headers.started" in spoken


def failure(base_url: str) -> str:
    """What the client says of a URL from which no answer comes."""

    async def read() -> None:
        limits = with_limits(attempts=1, concurrency=1, connect_seconds=0.1)
        async with LinqClient(TOKEN, base_url=base_url, limits=limits) as client:
            await client.get(settings.PHONE_NUMBERS, read=lambda body: body)

    with pytest.raises(UnavailableError) as raised:
        asyncio.run(read())
    return str(raised.value)


def test_tls_that_is_not_answered_in_time_is_not_said_to_be_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "no connection in time" in failure(f"https://127.0.0.1:{silent.getsockname()[1]}")


@pytest.mark.parametrize(
    ("outer", "cause", "said"),
    [
        (httpx.ReadTimeout, ssl.SSLWantReadError(), "no answer in time"),
        (httpx.ConnectTimeout, ssl.SSLWantReadError(), "no connection in time"),
        (httpx.ReadError, ssl.SSLError(1, "[SSL: BAD_RECORD_MAC]"), "the connection broke"),
        (httpx.ConnectError, ssl.SSLEOFError(8, "[SSL: UNEXPECTED_EOF_WHILE_READING]"), "and the network up?"),
        (httpx.ConnectError, ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), "no TLS at that port"),
        (httpx.ConnectError, ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]"), "not trusted"),
    ],
)
def test_only_what_ended_a_connection_is_told_of_its_tls(
    outer: type[httpx.TransportError], cause: ssl.SSLError, said: str
) -> None:
    error = outer("with a URL")
    # As httpx does it: while it waits for more of a TLS connection, it is handling an error that asks for it.
    error.__context__ = cause
    assert said in describe(error)
