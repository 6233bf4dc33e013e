"""Forms of HTTP that a proxy, a health check or an old client may use, and one that none may."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.webhook.support import Served, encoded, event, exchange
from tests.webhook.test_receiver import headers_of, raw_request, status

BODY = encoded(event(1))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as running:
        yield running


def in_http_1_0(request: bytes) -> bytes:
    return request.replace(b"HTTP/1.1", b"HTTP/1.0", 1)


def test_chunks_in_http_1_0_are_a_fault(served: Served) -> None:
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    request = raw_request(chunks, headers_of(BODY)[0], "Transfer-Encoding: chunked", "Connection: close")
    assert status(exchange(served.port, request)) == 200
    assert status(exchange(served.port, in_http_1_0(request))) == 400


@pytest.mark.parametrize("line", ["Connection: keep-alive", "Connection: close", "Accept: */*"])
def test_http_1_0_is_answered_and_its_connection_closed(served: Served, line: str) -> None:
    answer = exchange(served.port, in_http_1_0(raw_request(BODY, *headers_of(BODY), line)))
    assert status(answer) == 200
    assert b"\r\nConnection: close\r\n" in answer


def test_a_request_to_upgrade_is_answered_as_it_is_and_its_connection_closed(served: Served) -> None:
    lines = (*headers_of(BODY), "Connection: Upgrade", "Upgrade: h2c")
    answer = exchange(served.port, raw_request(BODY, *lines))
    assert (status(answer), answer.count(b"HTTP/1.1 ")) == (200, 1)
    assert b"\r\nConnection: close\r\n" in answer
    assert served.rows() == ["evt-1"]


def test_a_head_request_is_answered_without_a_body_and_the_next_one_after_it(served: Served) -> None:
    first = raw_request(b"", method="HEAD", path="/healthz")
    answer = exchange(served.port, first + raw_request(b"", "Connection: close", method="GET", path="/healthz"))
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b"Content-Length: 15" in head
    assert rest.startswith(b"HTTP/1.1 200 OK")
    assert answer.count(b'{"status":"ok"}') == 1
