"""Each fault as a client meets it on the wire."""

import gzip
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from linq_source.simulator import Fault, Simulator
from linq_source.simulator.faults import KINDS
from tests.simulator import schema
from tests.simulator.conftest import ROOT, Account, Client


@pytest.fixture
def path(account: Account) -> str:
    """The messages of the chat with two."""
    return f"/chats/{account.chat.id}/chat_messages"


@contextmanager
def exchange(sim: Simulator, path: str) -> Iterator[socket.socket]:
    """A connection on which the request for a path has been sent."""
    with socket.create_connection((sim.host, sim.port), timeout=20) as connection:
        head = f"GET {ROOT}{path} HTTP/1.1\r\nHost: x\r\nX-LINQ-INTEGRATION-TOKEN: {sim.token}\r\n\r\n"
        connection.sendall(head.encode())
        yield connection


def everything(connection: socket.socket) -> tuple[dict[str, str], bytes]:
    """Headers and body until the connection ends."""
    data = b""
    while more := connection.recv(65_536):
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")[1:]
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}, body


def test_a_fault_of_no_known_kind_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="No such fault: explode"):
        Fault(kind="explode")
    assert len(set(KINDS)) == 21


def test_a_status_comes_in_the_format_of_its_endpoint(sim: Simulator, client: Client, path: str) -> None:
    sim.faults.append(Fault(kind="status", status=503, headers={"Retry-After": "7"}))
    answer = client.get(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    schema.conforms(answer.json(), schema.ERROR)
    schema.conforms(client.get("/contacts").json(), schema.STANDARD_ERROR)
    sim.faults.clear()
    assert client.get(path).status_code == 200


def test_a_status_may_have_any_body(sim: Simulator, client: Client, path: str) -> None:
    sim.faults.append(Fault(kind="status", status=500, body=b"\x00oops"))
    assert client.get(path).content == b"\x00oops"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(occurrence=2), [200, 500, 200, 200]),
        (Fault(occurrence=2, times=2), [200, 500, 500, 200]),
        (Fault(), [500, 500, 500, 500]),
        (Fault(path="/contacts"), [200, 200, 200, 200]),
        (Fault(path=r"chat_messages$", method="POST"), [200, 200, 200, 200]),
        (Fault(page=1, occurrence=1), [500, 200, 200, 200]),
        (Fault(page=2), [200, 200, 200, 200]),
    ],
)
def test_a_fault_meets_the_requests_it_is_meant_for(
    sim: Simulator, client: Client, path: str, fault: Fault, expected: list[int]
) -> None:
    sim.faults.append(fault)
    assert [client.get(path).status_code for _ in expected] == expected


def test_faults_of_one_path_come_in_turn(sim: Simulator, client: Client, path: str) -> None:
    sim.faults += [Fault(occurrence=1, status=502), Fault(occurrence=2, status=503), Fault(page=3, status=504)]
    assert [client.get(path).status_code for _ in range(3)] == [502, 503, 200]
    assert client.get(path, params={"page": 3}).status_code == 504


def test_html_comes_with_any_status(sim: Simulator, client: Client, path: str) -> None:
    sim.faults += [Fault(kind="html", occurrence=1), Fault(kind="html", status=502)]
    for status in (200, 502):
        answer = client.get(path)
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.text.startswith("<!DOCTYPE html>")


def test_an_error_body_may_come_with_200(sim: Simulator, client: Client, path: str) -> None:
    sim.faults.append(Fault(kind="error_body_200"))
    answer = client.get(path)
    assert answer.status_code == 200
    schema.conforms(answer.json(), schema.ERROR)
    schema.conforms(client.get("/contacts").json(), schema.STANDARD_ERROR)


def test_any_bytes_may_come(sim: Simulator, client: Client, path: str) -> None:
    sim.faults.append(Fault(kind="body", body='["a list"]', status=201))
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (201, ["a list"])


META = {"page": 1, "total_pages": 1, "total_count": 2, "per_page": 25}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("empty_page", {"data": [], "meta": META}),
        ("null_list", {"data": None, "meta": META}),
        ("missing_list", {"meta": META}),
    ],
)
def test_the_list_of_a_page_may_be_spoiled(
    sim: Simulator, client: Client, path: str, kind: str, expected: Any
) -> None:
    sim.faults.append(Fault(kind=kind))
    assert client.get(path).json() == expected
    assert "pagination" in client.get("/contacts").json()


def test_the_totals_of_a_page_may_be_missing(sim: Simulator, client: Client, path: str) -> None:
    sim.faults.append(Fault(kind="missing_meta"))
    assert set(client.get(path).json()) == {"data"}
    assert set(client.get("/contacts").json()) == {"contacts"}


def test_page_one_may_come_whatever_page_is_asked_for(sim: Simulator, client: Client, path: str) -> None:
    first = client.get(path, params={"per_page": 1, "page": 1}).json()
    sim.faults.append(Fault(kind="repeat_page", page=2))
    assert client.get(path, params={"per_page": 1, "page": 2}).json() == first


def test_totals_may_grow_with_every_request(sim: Simulator, client: Client, path: str) -> None:
    sim.faults.append(Fault(kind="growing_total"))
    seen = [client.get(path, params={"per_page": 1, "page": page}).json()["meta"] for page in (1, 2, 3)]
    assert all(meta["total_pages"] > meta["page"] for meta in seen)
    assert [meta["total_count"] for meta in seen] == sorted({meta["total_count"] for meta in seen})


def test_a_function_may_change_the_answer(sim: Simulator, client: Client, path: str) -> None:
    def mutate(answer: dict[str, Any]) -> dict[str, Any]:
        answer["data"][0]["id"] = "not a number"
        return answer

    sim.faults.append(Fault(kind="mutate", mutate=mutate))
    assert client.get(path).json()["data"][0]["id"] == "not a number"


def test_json_may_hold_a_nan(sim: Simulator, client: Client, path: str) -> None:
    sim.faults.append(Fault(kind="nan"))
    text = client.get(path).text
    assert '"ratio":NaN' in text
    assert json.loads(text)["meta"] == META


def test_json_may_be_cut_with_its_length_right(sim: Simulator, client: Client, path: str) -> None:
    whole = client.get(path).content
    sim.faults.append(Fault(kind="cut_json"))
    cut = client.get(path)
    assert whole.startswith(cut.content)
    assert int(cut.headers["content-length"]) == len(cut.content) == len(whole) // 2


def test_a_body_may_end_before_its_length(sim: Simulator, client: Client, path: str) -> None:
    whole = client.get(path).content
    sim.faults.append(Fault(kind="short_body"))
    with exchange(sim, path) as connection:
        headers, body = everything(connection)
    assert int(headers["content-length"]) == len(whole)
    assert body == whole[: len(whole) // 2]
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(path)


def test_json_may_be_nested_deeply(sim: Simulator, client: Client, path: str) -> None:
    sim.faults.append(Fault(kind="deep_nesting"))
    assert client.get(path).text.count("[") == 100_000


def test_an_answer_may_be_huge_and_still_json(sim: Simulator, client: Client, path: str) -> None:
    sim.faults.append(Fault(kind="huge"))
    with client.stream("GET", path) as answer:
        assert int(answer.headers["content-length"]) > 100_000_000
    sim.faults[0].size = 1_000_000
    assert client.get(path).json()["meta"] == META


def test_a_small_answer_may_unpack_to_a_huge_one(sim: Simulator, client: Client, path: str) -> None:
    sim.faults.append(Fault(kind="gzip_bomb"))
    with client.stream("GET", path) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert len(packed) < 1_000_000
    unpacked = gzip.decompress(packed)
    assert len(unpacked) > 200_000_000
    assert json.loads(unpacked)["meta"] == META


def test_a_connection_may_be_reset_before_the_headers(sim: Simulator, client: Client, path: str) -> None:
    sim.faults.append(Fault(kind="reset", occurrence=1, times=2))
    with exchange(sim, path) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)
    with pytest.raises(httpx.ReadError):
        client.get(path)
    assert client.get(path).status_code == 200


def test_a_connection_may_be_reset_after_the_headers(sim: Simulator, path: str) -> None:
    sim.faults.append(Fault(kind="reset", after_headers=True))
    with exchange(sim, path) as connection:
        assert connection.recv(12) == b"HTTP/1.1 200"
        with pytest.raises(ConnectionResetError):
            everything(connection)


def test_nothing_may_ever_come_until_the_server_stops(sim: Simulator, path: str) -> None:
    sim.faults.append(Fault(kind="hang"))
    with exchange(sim, path) as connection:
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(5)
        sim.stop()
        assert connection.recv(1) == b""
    assert sim.requests[0].status == 0


def test_a_body_may_come_byte_by_byte(sim: Simulator, client: Client) -> None:
    sim.faults.append(Fault(kind="drip", interval=0.0001))
    with client.stream("GET", "/chats/find") as answer:
        pieces = list(answer.iter_raw())
    assert len(pieces) > 50
    schema.conforms(json.loads(b"".join(pieces)), schema.ERROR)


def test_a_redirect_names_another_place(sim: Simulator, client: Client, path: str) -> None:
    sim.faults.append(Fault(kind="redirect", location="http://127.0.0.1:9/elsewhere"))
    answer = client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (302, "http://127.0.0.1:9/elsewhere")


@pytest.mark.parametrize(
    ("kind", "happens"),
    [("status", False), ("html", False), ("redirect", False), ("error_body_200", False), ("cut_json", True)],
)
def test_a_write_happens_unless_the_fault_comes_instead(
    sim: Simulator, client: Client, account: Account, path: str, kind: str, happens: bool
) -> None:
    sim.faults.append(Fault(kind=kind))
    client.post(path, json={"text": "Hello?"})
    assert (len(account.chat.messages) == 3) is happens


def test_an_error_of_the_operation_is_left_as_it_is(sim: Simulator, client: Client) -> None:
    sim.faults.append(Fault(kind="empty_page"))
    assert client.get("/chats/1/chat_messages").status_code == 404
