"""Clients that take more than their share: of memory, of turns, of deadlines; the others go on as before."""

import contextlib
import errno
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from linq_source.webhook.http_connection import Connection
from linq_source.webhook.http_messages import HttpLimits
from tests.webhook.support import Served, encoded, event, exchange
from tests.webhook.test_hostile import HALF_HEAD, seconds_until_closed
from tests.webhook.test_receiver import headers_of, raw_request, status


def test_a_client_that_resets_while_it_is_refused_does_not_end_the_deadlines_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(self: object) -> None:
        raise OSError(errno.ENOTCONN, "not connected")

    monkeypatch.setattr("asyncio.selector_events._SelectorSocketTransport.write_eof", gone)
    with Served(tmp_path, limits=HttpLimits(request_seconds=0.3)) as served:
        for _ in range(2):
            seconds, answer = seconds_until_closed(served.port, HALF_HEAD)
            assert (status(answer), seconds < 5) == (408, True)


def test_what_goes_wrong_with_one_deadline_does_not_end_those_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def defect(self: object) -> None:
        raise ValueError("secret")

    with Served(tmp_path, limits=HttpLimits(request_seconds=0.3)) as served:
        with monkeypatch.context() as patch:
            patch.setattr("linq_source.webhook.http_connection.Connection.expire", defect)
            assert seconds_until_closed(served.port, HALF_HEAD)[1] == b""
        assert status(seconds_until_closed(served.port, HALF_HEAD)[1]) == 408
    assert [record.getMessage() for record in caplog.records] == [
        "A connection could not be ended (ValueError): this is a defect"
    ]


def test_unfinished_bodies_of_many_do_not_shut_the_others_out(tmp_path: Path) -> None:
    with Served(tmp_path, limits=HttpLimits(all_bodies_bytes=3000)) as served, contextlib.ExitStack() as opened:
        pinned = [
            opened.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=10)) for _ in range(5)
        ]
        for each in pinned:
            each.sendall(raw_request(b"x" * 990, headers_of(b"")[0], "Content-Length: 1000"))
        until = time.monotonic() + 10
        while len(served.server.connections) != 3 and time.monotonic() < until:
            time.sleep(0.02)
        assert served.server.body_bytes == 3 * 990
        for number in range(3):
            assert served.deliver(event(number)) == 200
        assert served.server.body_bytes <= 3000
        assert [each.recv(100) for each in pinned[:2]] == [b"", b""], "the longest waiting went"


def test_a_client_that_sends_much_at_once_lets_the_others_have_their_turn(tmp_path: Path) -> None:
    turns = [0]
    with Served(tmp_path) as served:
        respond = served.app.respond

        def counted(*arguments: Any) -> None:
            turns[-1] += 1
            if turns[-1] == 1:
                served._loop.call_soon(turns.append, 0)
            respond(*arguments)

        served.app.respond = counted  # type: ignore[method-assign]
        many = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n" * 999
        answer = exchange(served.port, many + b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        assert answer.count(b"HTTP/1.1 200 OK") == sum(turns) == 1000
        assert max(turns) <= 20


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_a_body_in_tiny_chunks_is_refused_in_its_first_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collected = []
    collect = Connection._collect
    monkeypatch.setattr(Connection, "_collect", lambda self, data: (collected.append(data), collect(self, data)))
    body = encoded(event(1, data={"text": "a" * 5000}))
    with Served(tmp_path) as served:
        lines = headers_of(body)[0], "Transfer-Encoding: chunked", "Connection: close"
        answer = exchange(served.port, raw_request(chunked(body, 1), *lines))
        assert (status(answer), len(collected)) == (400, 17)
        assert answer.endswith(b'{"error":"chunks too small"}')
        for size in (80, 1000):
            assert status(exchange(served.port, raw_request(chunked(body, size), *lines))) == 200
        short = b'{"event":"a"}'
        lines = headers_of(short)[0], "Transfer-Encoding: chunked", "Connection: close"
        assert status(exchange(served.port, raw_request(chunked(short, 1), *lines))) == 200
