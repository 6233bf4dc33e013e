"""The server: its life, its log, its hook, and connections kept alive."""

import json
import socket
import threading
from typing import Any

import httpx
import pytest

from linq_source.simulator import Fault, Quirks, Request, Simulator, World
from tests.simulator.conftest import ROOT, Account, Client


def test_it_keeps_its_port_over_a_restart(world: World) -> None:
    sim = Simulator(world)
    with sim, Client(sim) as client:
        port = sim.port
        assert client.get("/phone_numbers").status_code == 200
    with sim, Client(sim) as client:
        assert sim.port == port
        assert client.get("/phone_numbers").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}")


def test_starting_twice_is_an_error_and_stopping_twice_is_not(sim: Simulator) -> None:
    with pytest.raises(RuntimeError, match="started already"):
        sim.start()
    sim.stop()
    sim.stop()


def test_a_port_in_use_is_an_error_of_the_caller(sim: Simulator, world: World) -> None:
    with pytest.raises(OSError, match="in use"):
        Simulator(world, port=sim.port).start()


def test_it_stops_at_once_with_slow_and_silent_connections(world: World) -> None:
    before = threading.active_count()
    sim = Simulator(world, latency_seconds=3600).start()
    sim.faults += [Fault("/contacts", kind="hang"), Fault("/phone_numbers", kind="drip", interval=3600)]
    arrived = threading.Semaphore(0)
    sim.before_request = lambda _request: arrived.release()
    lines = []
    for path in ("/contacts", "/phone_numbers", "/webhook_subscriptions", None):
        line = socket.create_connection((sim.host, sim.port))
        if path:
            head = f"GET {ROOT}{path} HTTP/1.1\r\nHost: x\r\nX-LINQ-INTEGRATION-TOKEN: demo-token\r\n\r\n"
            line.sendall(head.encode())
        lines.append(line)
    assert all(arrived.acquire(timeout=5) for _ in range(3))
    sim.stop()
    assert threading.active_count() == before
    assert sim.connections == set()
    for line in lines:
        line.close()


def test_requests_are_kept_in_order_with_what_was_asked_and_answered(sim: Simulator, client: Client) -> None:
    client.get("/contacts", params={"page": 2, "per_page": 50}, headers={"User-Agent": "tester"})
    client.get("/chats/1")
    client.post("/contacts", json={"contact": {"email": "a@example.com"}})
    first, second, third = sim.requests
    assert (first.method, first.path, first.status) == ("GET", f"{ROOT}/contacts", 200)
    assert first.query == {"page": "2", "per_page": "50"}
    assert first.headers["user-agent"] == "tester"
    assert (second.path, second.status) == (f"{ROOT}/chats/1", 404)
    assert (third.method, third.status) == ("POST", 201)
    assert json.loads(third.body) == {"contact": {"email": "a@example.com"}}
    assert sim.count("/contacts$") == 2
    assert sim.count(ROOT) == 3
    assert sim.count("^POST ") == 1
    sim.clear_requests()
    assert sim.requests == []


def test_an_escaped_plus_arrives_as_a_plus(sim: Simulator, client: Client, account: Account) -> None:
    client.get("/chats", params={"phone_number": account.ours})
    assert sim.requests[0].query == {"phone_number": account.ours}


def test_the_world_may_change_before_each_request(sim: Simulator, client: Client, account: Account) -> None:
    def add(request: Request) -> None:
        if request.path.endswith("chat_messages"):
            account.world.receive(account.chat.id, f"Before page {request.query['page']}")

    sim.before_request = add
    path = f"/chats/{account.chat.id}/chat_messages"
    counts = [client.get(path, params={"page": page}).json()["meta"]["total_count"] for page in (1, 2)]
    assert counts == [3, 4]


def test_a_failure_in_the_hook_answers_500_and_is_raised_at_the_end(world: World) -> None:
    def fail(_request: Request) -> None:
        raise LookupError("seen in the test")

    sim = Simulator(world).start()
    sim.before_request = fail
    with Client(sim) as client:
        assert client.get("/contacts").status_code == 500
    with pytest.raises(LookupError, match="seen in the test"):
        sim.stop()


def test_an_error_of_the_test_is_not_hidden_by_one_of_the_server(world: World) -> None:
    sim = Simulator(world)

    def fail(_request: Request) -> None:
        raise LookupError

    sim.before_request = fail

    def fall_over() -> None:
        with sim, Client(sim) as client:
            client.get("/contacts")
            raise KeyError("of the test")

    with pytest.raises(KeyError, match="of the test"):
        fall_over()


def test_one_connection_serves_many_requests_even_sent_at_once(sim: Simulator) -> None:
    head = f"GET {ROOT}/phone_numbers HTTP/1.1\r\nHost: x\r\nX-LINQ-INTEGRATION-TOKEN: demo-token\r\n"
    with socket.create_connection((sim.host, sim.port), timeout=5) as connection:
        connection.sendall((head + "\r\n").encode() * 2 + (head + "Connection: close\r\n\r\n").encode())
        data = b""
        while more := connection.recv(65_536):
            data += more
    assert data.count(b"HTTP/1.1 200 OK") == 3
    assert len(sim.requests) == 3


def test_what_is_not_http_is_400_and_the_connection_ends(sim: Simulator) -> None:
    with socket.create_connection((sim.host, sim.port), timeout=5) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        data = b""
        while more := connection.recv(1024):
            data += more
    assert data.startswith(b"HTTP/1.1 400")


def test_a_body_may_come_in_chunks_and_after_100_continue(sim: Simulator, client: Client, account: Account) -> None:
    path = f"/chats/{account.chat.id}/chat_messages"
    answer = client.post(path, content=iter([b'{"text":', b'"In pieces"}']))
    assert answer.json()["data"]["text"] == "In pieces"
    with socket.create_connection((sim.host, sim.port), timeout=5) as connection:
        head = (
            f"POST {ROOT}{path} HTTP/1.1\r\nHost: x\r\nX-LINQ-INTEGRATION-TOKEN: demo-token\r\n"
            "Content-Type: application/json\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(1024).startswith(b"HTTP/1.1 100")
        connection.sendall(b'{"text":"x"}')
        assert connection.recv(1024).startswith(b"HTTP/1.1 201")


def test_an_answer_comes_after_the_latency(world: World) -> None:
    with Simulator(world, latency_seconds=0.05) as sim, Client(sim) as client:
        answer = client.get("/phone_numbers")
    assert answer.elapsed.total_seconds() >= 0.05


def test_a_base_url_may_be_of_ipv6(world: World) -> None:
    assert Simulator(world, host="::1", port=81).base_url == "http://[::1]:81"


@pytest.mark.parametrize(
    ("quirks", "sent_at"),
    [
        (Quirks(), "2025-05-21T12:00:00Z"),
        (Quirks(time_style="milliseconds"), "2025-05-21T12:00:00.123Z"),
        (Quirks(time_style="offset"), "2025-05-21T06:00:00-06:00"),
        (Quirks(time_style="ruby"), "2025-05-21 06:00:00 -0600"),
    ],
)
def test_its_oracle_has_the_precision_it_shows(account: Account, quirks: Quirks, sent_at: str) -> None:
    fine = account.world.clock().replace(microsecond=123_456)
    sent = account.world.send(account.chat.id, "Fine", sent_at=fine)
    with Simulator(account.world, quirks=quirks) as sim, Client(sim) as client:
        row: dict[str, Any] = client.get(f"/chats/{sent.chat_id}/chat_messages/{sent.id}").json()["data"]
        assert row["sent_at"] == sent_at
        oracle = next(row for row in sim.listed()["messages"] if row["id"] == sent.id)
        shown = 123_000 if quirks.time_style == "milliseconds" else 0
        assert oracle["sent_at"] == fine.replace(microsecond=shown)
