"""Clients that are slow, half-open, too many or senseless: cut in time, and the others never notice."""

import contextlib
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from linq_source.webhook.app import WEBHOOK_PATH
from linq_source.webhook.http_messages import HttpLimits
from tests.webhook.support import Served, encoded, event, exchange, signed
from tests.webhook.test_journal import Disk
from tests.webhook.test_receiver import headers_of, raw_request, status

HALF_HEAD = b"POST /webhooks/linq HTTP/1.1\r\nHost: here\r\nX-Slow"
HALF_BODY = raw_request(b'{"half":', headers_of(b"")[0], "Content-Length: 1000")


def seconds_until_closed(port: int, sent: bytes) -> tuple[float, bytes]:
    started = time.monotonic()
    answer = exchange(port, sent, timeout=15)
    return time.monotonic() - started, answer


def test_as_shipped_nobody_may_be_slower_than_ten_seconds() -> None:
    limits = HttpLimits()
    assert limits.request_seconds < 9
    assert limits.answer_seconds < 9


@pytest.mark.parametrize(("sent", "said"), [(b"", b""), (HALF_HEAD, b"408"), (HALF_BODY, b"408")])
def test_a_slow_head_or_body_is_cut(tmp_path: Path, sent: bytes, said: bytes) -> None:
    with Served(tmp_path, limits=HttpLimits(request_seconds=0.5)) as served:
        seconds, answer = seconds_until_closed(served.port, sent)
        assert 0.4 < seconds < 3
        assert said in answer


def test_bytes_that_trickle_do_not_extend_the_deadline(tmp_path: Path) -> None:
    with (
        Served(tmp_path, limits=HttpLimits(request_seconds=0.5)) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw,
    ):
        started = time.monotonic()
        raw.sendall(HALF_BODY)
        with pytest.raises(ConnectionError):  # noqa: PT012  # sent until the server has enough
            while time.monotonic() < started + 8:
                raw.sendall(b" ")
                time.sleep(0.05)
        assert time.monotonic() - started < 4


def test_an_idle_connection_is_closed_and_one_between_requests_may_wait_longer(tmp_path: Path) -> None:
    limits = HttpLimits(request_seconds=0.3, idle_seconds=1.5)
    body = encoded(event(1))
    with (
        Served(tmp_path, limits=limits) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw,
    ):
        raw.sendall(raw_request(body, *headers_of(body)))
        assert raw.recv(65536).startswith(b"HTTP/1.1 200")
        time.sleep(0.8)
        raw.sendall(raw_request(body, *headers_of(body)))
        assert raw.recv(65536).startswith(b"HTTP/1.1 200")
        started = time.monotonic()
        assert raw.recv(65536) == b""
        assert 1 < time.monotonic() - started < 5


def test_a_disk_slower_than_the_deadline_is_503_and_the_event_may_be_stored_all_the_same(tmp_path: Path) -> None:
    disk = Disk()
    with Served(tmp_path, limits=HttpLimits(answer_seconds=0.3), connect=disk.connect) as served:
        disk.seconds = 1.2
        assert served.deliver(event(1)) == 503
        disk.seconds = 0.0
        time.sleep(1.2)
        assert served.deliver(event(1)) == 200
        assert served.rows() == ["evt-1"]


def test_a_thousand_half_open_clients_do_not_hurt_the_others(tmp_path: Path) -> None:
    half_open: list[socket.socket] = []
    with Served(tmp_path, limits=HttpLimits(request_seconds=5, connections=900)) as served:
        try:
            for number in range(1000):
                raw = socket.create_connection(("127.0.0.1", served.port), timeout=10)
                raw.sendall((HALF_HEAD, HALF_BODY, b"")[number % 3])
                half_open.append(raw)
            latencies = []
            for number in range(100):
                started = time.monotonic()
                assert served.deliver(event(number)) == 200
                latencies.append(time.monotonic() - started)
            assert sorted(latencies)[90] < 0.25
            assert max(latencies) < 2
            assert len(served.server.connections) <= 900
            until = time.monotonic() + 10
            while served.server.connections and time.monotonic() < until:
                time.sleep(0.05)
            assert not served.server.connections
            assert served.server.body_bytes == 0
        finally:
            for raw in half_open:
                raw.close()


def test_a_client_that_takes_no_answer_or_sends_without_end_is_dropped(tmp_path: Path) -> None:
    with (
        Served(tmp_path, limits=HttpLimits(body_bytes=1000)) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw,
    ):
        raw.sendall(raw_request(b"", headers_of(b"")[0], "Content-Length: 999999999"))
        sent = 0
        with pytest.raises(ConnectionError):  # noqa: PT012  # sent until the server has enough
            while sent < 200_000_000:
                sent += raw.send(b"x" * 65536)
        assert sent < 50_000_000
        assert served.server.body_bytes == 0


def test_a_client_that_asks_and_asks_and_takes_no_answer_is_dropped(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as raw:
        raw.sendall(raw_request(b"", method="GET", path="/healthz"))
        assert raw.recv(65536)
        (connection,) = served.server.connections
        # Less than what the system would keep by itself, so that the test need not ask a hundred thousand times.
        connection._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                raw.sendall(raw_request(b"", method="GET", path="/healthz") * 100)
        until = time.monotonic() + 10
        while served.server.connections and time.monotonic() < until:
            time.sleep(0.02)
        assert not served.server.connections
    assert served.deliver(event(1)) == 200


def test_what_a_client_sends_while_it_waits_for_its_answer_is_not_read(tmp_path: Path) -> None:
    disk = Disk()
    body = encoded(event(1))
    with Served(tmp_path, connect=disk.connect) as served:
        disk.seconds = 1.0
        with socket.create_connection(("127.0.0.1", served.port), timeout=0.5) as raw:
            raw.sendall(raw_request(body, *headers_of(body)))
            with contextlib.suppress(TimeoutError):
                raw.sendall(b"x" * 50_000_000)
            (connection,) = served.server.connections
            assert len(connection._http.trailing_data[0]) < 1_000_000


def test_a_defect_of_ours_is_503_and_its_log_tells_nothing_of_the_request(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise LookupError("private text")

    monkeypatch.setattr(served.app, "respond", fails)
    assert served.deliver(event(1)) == 503
    assert "LookupError" in caplog.text
    assert "private" not in caplog.text


def fuzzed(dice: random.Random) -> tuple[bytes, bool]:
    """A request, half of them correctly signed, with something odd about head or body."""
    body = encoded(event(dice.randrange(10**9)))
    match dice.randrange(6):
        case 0:
            body = dice.randbytes(dice.randrange(300))
        case 1:
            at = dice.randrange(len(body))
            body = body[:at] + dice.randbytes(dice.randrange(4)) + body[at + dice.randrange(4) :]
        case 2:
            body = dice.choice(
                [b"[" * 9000, b'{"event_type":' * 900, b"9" * 6000, b'"\\ud83d"', b"\xef\xbb\xbf{}", b"nul"]
            )
        case 3:
            odd = dice.choice(
                [b"null", b"{}", b"[1]", b"NaN", b"1e999", b'"\\ud83d"', b'"a\\u0000b"', b"1" * 30, b"true"]
            )
            field = dice.choice([b"event_id", b"event_type", b"created_at", b"data", b"api_version", b"event"])
            body = b'{"event_type":"a.b","' + field + b'":' + odd + b"}"
        case _:
            pass
    is_signed = dice.random() < 0.5
    header = signed(body)["X-Webhook-Signature"].encode() if is_signed else b"sha256=" + dice.randbytes(32)
    lines = [b"POST /webhooks/linq HTTP/1.1", b"Host: h", b"X-Webhook-Signature: " + header]
    lines.append(b"Content-Length: %d" % len(body))
    if dice.random() < 0.3:
        is_signed = False
        match dice.randrange(4):
            case 0:
                lines.insert(dice.randrange(4), dice.randbytes(dice.randrange(40)))
            case 1:
                lines[dice.randrange(4)] = dice.randbytes(dice.randrange(60))
            case 2:
                lines.append(dice.choice([b"Transfer-Encoding: chunked", b"Content-Encoding: br", b"Upgrade: h2c"]))
            case _:
                lines[0] = dice.choice([b"GET /", b"CONNECT x:1", b"POST *", b"OPTIONS *", b"PRI *"]) + b" HTTP/1.1"
    return b"\r\n".join(lines) + b"\r\nConnection: close\r\n\r\n" + body, is_signed


def send_fuzz(served: Served, seed: int, count: int, statuses: "Counter[int]") -> None:
    dice = random.Random(seed)
    for _ in range(count):
        data, is_signed = fuzzed(dice)
        with socket.create_connection(("127.0.0.1", served.port), timeout=15) as raw:
            answer = b""
            try:
                raw.sendall(data)
                raw.shutdown(socket.SHUT_WR)
                while chunk := raw.recv(65536):
                    answer += chunk
            except OSError:
                pass
        code = status(answer) if answer.startswith(b"HTTP/1.1 ") else 0
        statuses[code] += 1
        assert not is_signed or code in (200, 400), (code, data[:300])


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as running:
        yield running


def fuzz(served: Served, count: int) -> "Counter[int]":
    statuses: Counter[int] = Counter()
    problems: list[BaseException] = []

    def run(seed: int) -> None:
        try:
            send_fuzz(served, seed, count // 4, statuses)
        except BaseException as error:  # noqa: BLE001  # told below, in the test's own thread
            problems.append(error)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems[0]
    return statuses


def test_no_request_whatever_it_holds_is_answered_5xx(served: Served) -> None:
    statuses = fuzz(served, 2_000)
    assert not any(code >= 500 for code in statuses), statuses
    assert statuses[200] > 300
    assert statuses[400] > 100
    assert statuses[401] > 300
    assert served.deliver(event("at the end")) == 200


@pytest.mark.soak
def test_a_hundred_thousand_odd_requests_leave_memory_as_it_was(served: Served) -> None:
    fuzz(served, 4_000)
    before = memory()
    statuses = fuzz(served, 100_000)
    print(f"statuses {dict(statuses)}, memory {before / 1e6:.0f} -> {memory() / 1e6:.0f} MB")  # noqa: T201
    assert not any(code >= 500 for code in statuses), statuses
    assert memory() - before < 32 * 1024 * 1024


def test_the_path_is_the_one_that_is_documented() -> None:
    assert WEBHOOK_PATH == "/webhooks/linq"
