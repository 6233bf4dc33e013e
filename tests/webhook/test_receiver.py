"""What the receiver answers over a real socket, and what it keeps."""

import json
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from linq_source.webhook.app import WEBHOOK_PATH
from linq_source.webhook.event import EVENT_TYPES
from linq_source.webhook.http_messages import HttpLimits
from tests.webhook.support import Served, encoded, event, exchange, request, signed
from tests.webhook.test_journal import Disk


def raw_request(body: bytes, *lines: str, method: str = "POST", path: str = WEBHOOK_PATH) -> bytes:
    """A request as bytes, with these lines after the host."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: here", *lines, "", ""]).encode("latin-1") + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def headers_of(body: bytes) -> tuple[str, str]:
    return f"X-Webhook-Signature: {signed(body)['X-Webhook-Signature']}", f"Content-Length: {len(body)}"


@pytest.fixture
def served(tmp_path: Path) -> Any:
    with Served(tmp_path) as running:
        yield running


def test_an_event_is_stored_before_it_is_answered(served: Served) -> None:
    assert served.deliver(event(1)) == 200
    columns = "event_id, event_type, api_version, envelope, created_at, received_at, data"
    assert served.rows(f"select {columns} from events") == [
        (
            "evt-1", "message.received", "v2", "reference", 1747863000000000, 1772366400000000,
            '{"chat_id":"324324","id":"1","is_read":false,"text":"Hello, how are you?"}',
        )
    ]  # fmt: skip


def test_every_type_and_both_envelopes_are_stored(served: Served) -> None:
    for event_type in (*EVENT_TYPES, "message.edited"):
        assert served.deliver(event(event_type, event_type=event_type)) == 200
    assert served.deliver({"event": "message.sent", "data": {}, "timestamp": "2025-10-22T10:31:00Z"}) == 200
    assert len(served.rows()) == 15
    assert served.rows("select count(*) from events where envelope = 'quick_start'") == [1]


def test_a_duplicate_is_answered_200_and_stored_once(served: Served) -> None:
    body = encoded(event(1))
    assert [request(served.port, "POST", WEBHOOK_PATH, body, signed(body))[2] for _ in range(3)] == [
        b'{"status":"stored"}', b'{"status":"duplicate"}', b'{"status":"duplicate"}',
    ]  # fmt: skip
    assert served.rows() == ["evt-1"]
    assert served.deliver(json.dumps(event(1), indent=2).encode()) == 200
    assert served.rows("select * from conflicts") == []


def test_fifty_duplicates_at_once_are_one_row(served: Served) -> None:
    statuses: Counter[int] = Counter()
    threads = [threading.Thread(target=lambda: statuses.update([served.deliver(event(1))])) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == {200: 50}
    assert served.rows() == ["evt-1"]


def test_the_same_id_with_another_body_goes_to_the_conflicts(served: Served) -> None:
    other = event(1, event_type="typing_indicator.received")
    assert [served.deliver(each) for each in (event(1), other, other)] == [200, 200, 200]
    assert served.rows("select event_type from events") == ["message.received"]
    assert served.rows("select event_id, body from conflicts") == [("evt-1", encoded(other))]


def test_what_is_forged_is_401_and_leaves_no_trace(served: Served) -> None:
    body = encoded(event(1))
    good = signed(body)["X-Webhook-Signature"]
    other_secret = signed(body, "another secret altogether")
    for headers in ({}, other_secret, {"X-Webhook-Signature": good[:-1]}, {"X-Webhook-Signature": good + "0"}):
        assert request(served.port, "POST", WEBHOOK_PATH, body, headers)[0] == 401
    assert request(served.port, "POST", WEBHOOK_PATH, body + b" ", signed(body))[0] == 401
    twice = raw_request(body, headers_of(body)[0], *headers_of(body))
    assert status(exchange(served.port, twice)) == 401
    assert served.rows("select count(*) from rejects") == [0]
    assert served.rows("select count(*) from conflicts") == [0]


def test_a_canonical_signature_is_accepted_and_the_canonical_document_kept(served: Served) -> None:
    document = event(1)
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    body = json.dumps(document, indent=3).encode()
    assert body != canonical
    assert request(served.port, "POST", WEBHOOK_PATH, body, signed(canonical))[0] == 200
    assert served.rows() == ["evt-1"]
    assert served.app.spellings == {("compact", 0): 1}


def test_two_secrets_are_valid_while_one_replaces_the_other(tmp_path: Path) -> None:
    with Served(tmp_path, secrets=("the-old-secret-00", "the-new-secret-00")) as served:
        assert served.deliver(event(1), "the-old-secret-00") == 200
        assert served.deliver(event(2), "the-new-secret-00") == 200
        assert served.deliver(event(3), "no-secret-of-ours") == 401


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"hello", "cut or not JSON"),
        (b"\xff\xfe", "cut or not JSON"),
        (b"[" * 100_000, "nested too deep"),
        (b"9" * 5000, "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b'{"data":{}}', "no event type"),
    ],
)
def test_what_is_signed_but_no_event_is_400_and_kept_among_the_rejects(
    served: Served, body: bytes, reason: str
) -> None:
    assert served.deliver(body) == 400
    assert served.rows("select reason, body from rejects") == [(reason, body)]
    assert served.rows() == []


def test_without_secrets_anyone_is_believed_but_nothing_is_kept_of_nonsense(tmp_path: Path) -> None:
    with Served(tmp_path, secrets=()) as served:
        assert request(served.port, "POST", WEBHOOK_PATH, encoded(event(1)))[0] == 200
        assert request(served.port, "POST", WEBHOOK_PATH, b"nonsense")[0] == 400
        assert served.rows() == ["evt-1"]
        assert served.rows("select count(*) from rejects") == [0]


def test_paths_and_methods(served: Served) -> None:
    assert request(served.port, "GET", "/healthz")[::2] == (200, b'{"status":"ok"}')
    assert request(served.port, "HEAD", "/healthz")[::2] == (200, b"")
    assert request(served.port, "GET", "/")[0] == 404
    assert request(served.port, "GET", "/metrics")[0] == 404
    assert request(served.port, "POST", "/webhooks/linq/../other", b"{}")[0] == 404
    for method in ("GET", "PUT", "DELETE", "OPTIONS", "PATCH"):
        code, headers, _ = request(served.port, method, WEBHOOK_PATH)
        assert (code, headers["allow"]) == (405, "POST")
    assert request(served.port, "POST", "/healthz", b"{}")[0] == 405
    body = encoded(event(1))
    assert request(served.port, "POST", WEBHOOK_PATH + "?from=linq", body, signed(body))[0] == 200


def test_the_health_check_says_the_same_whatever_happened(served: Served) -> None:
    before = request(served.port, "GET", "/healthz")[2]
    served.deliver(event(1))
    assert request(served.port, "GET", "/healthz")[2] == before


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "identity, gzip"])
def test_a_compressed_body_is_415(served: Served, coding: str) -> None:
    body = encoded(event(1))
    assert request(served.port, "POST", WEBHOOK_PATH, body, signed(body) | {"Content-Encoding": coding})[0] == 415
    assert served.rows() == []


def test_any_content_type_is_judged_by_its_signature(served: Served) -> None:
    body = encoded(event(1))
    assert request(served.port, "POST", WEBHOOK_PATH, body, signed(body) | {"Content-Type": "text/xml"})[0] == 200


def test_a_large_body_is_413_by_its_length_alone_before_it_is_sent(tmp_path: Path) -> None:
    with Served(tmp_path, limits=HttpLimits(body_bytes=1000)) as served:
        lines = (headers_of(b"")[0], "Content-Length: 1001")
        assert status(exchange(served.port, raw_request(b"", *lines))) == 413
        assert status(exchange(served.port, raw_request(b"", *lines, "Expect: 100-continue"))) == 413
        fitting = event(1, data="x" * (1000 - len(encoded(event(1, data="")))))
        assert len(encoded(fitting)) == 1000
        assert served.deliver(fitting) == 200


def test_a_body_without_length_is_cut_at_the_limit(tmp_path: Path) -> None:
    with Served(tmp_path, limits=HttpLimits(body_bytes=1000)) as served:
        chunk = b"64\r\n" + b"x" * 100 + b"\r\n"
        lines = (headers_of(b"")[0], "Transfer-Encoding: chunked")
        assert status(exchange(served.port, raw_request(chunk * 11, *lines))) == 413
        body = encoded(event(1))
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        lines = (headers_of(body)[0], "Transfer-Encoding: chunked", "Connection: close")
        assert status(exchange(served.port, raw_request(chunked, *lines))) == 200


def test_all_bodies_together_are_bounded(tmp_path: Path) -> None:
    with Served(tmp_path, limits=HttpLimits(all_bodies_bytes=1000)) as served:
        answer = exchange(served.port, raw_request(b"x" * 1001, headers_of(b"")[0], "Content-Length: 1001"))
        assert status(answer) == 503
        assert b"retry-after" in answer.lower()
        assert served.deliver(event(1)) == 200


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: five",),
        ("Content-Length: -5",),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: chunked, chunked",),
        ("Bad Header: x",),
        ("X: a\0b",),
    ],
)
def test_a_request_that_proxies_could_read_differently_is_400(served: Served, lines: tuple[str, ...]) -> None:
    body = b"0\r\n\r\n"
    answer = exchange(served.port, raw_request(body, headers_of(body)[0], *lines))
    assert status(answer) == 400
    assert answer.count(b"HTTP/1.1") == 1


def test_a_chunk_that_does_not_end_as_it_should_is_400(served: Served) -> None:
    body = b"5\r\nAAAAAXX2\r\n45\r\n0\r\n\r\n"
    answer = exchange(served.port, raw_request(body, headers_of(b"")[0], "Transfer-Encoding: chunked"))
    assert status(answer) == 400
    assert answer.count(b"HTTP/1.1") == 1


def test_a_signature_folded_over_two_lines_is_401(served: Served) -> None:
    answer = exchange(served.port, raw_request(b"{}", headers_of(b"{}")[0], " folded", "Content-Length: 2"))
    assert status(answer) == 401


@pytest.mark.parametrize(
    "sent", [b"\r\n\r\n\r\nhello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02", b"\0" * 99]
)
def test_what_is_no_http_is_400_or_just_closed(served: Served, sent: bytes) -> None:
    answer = exchange(served.port, sent + b"\r\n\r\n")
    assert not answer or status(answer) == 400


def test_headers_beyond_the_limit_are_431(served: Served) -> None:
    assert status(exchange(served.port, raw_request(b"", "X-Large: " + "x" * 20_000))) == 431


def test_one_connection_serves_many_requests_also_sent_together(served: Served) -> None:
    bodies = [encoded(event(number)) for number in range(5)]
    requests = [raw_request(body, *headers_of(body)) for body in bodies[:-1]]
    requests.append(raw_request(bodies[-1], *headers_of(bodies[-1]), "Connection: close"))
    answer = exchange(served.port, b"".join(requests))
    assert answer.count(b"HTTP/1.1 200 OK") == 5
    assert served.rows() == [f"evt-{number}" for number in range(5)]


def test_requests_sent_while_an_answer_is_owed_are_answered_in_turn(tmp_path: Path) -> None:
    disk, bodies = Disk(), [encoded(event(number)) for number in range(6)]
    with (
        Served(tmp_path, connect=disk.connect) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw,
    ):
        disk.seconds = 0.1
        for body in bodies:
            raw.sendall(raw_request(body, *headers_of(body)))
            time.sleep(0.03)
        received = b""
        while received.count(b'{"status":"stored"}') < len(bodies):
            received += raw.recv(65536)
        assert served.rows() == [f"evt-{number}" for number in range(6)]


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(served: Served) -> None:
    body = encoded(event(1))
    lines = (*headers_of(body), "Expect: 100-continue", "Connection: close")
    answer = exchange(served.port, raw_request(body, *lines))
    assert answer.endswith(b'{"status":"stored"}')


def test_a_client_that_stops_sending_still_gets_its_answer(served: Served) -> None:
    body = encoded(event(1))
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw:
        raw.sendall(raw_request(body, *headers_of(body)))
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 OK")
        assert raw.recv(65536) == b"", "and is not waited for"
