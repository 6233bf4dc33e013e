"""Lists: page by page they are the oracle; filters, order and limits are the vendor's."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from linq_source.simulator import Quirks, Simulator, World
from tests.simulator.conftest import NOON, Account, Client

Rows = dict[str, list[dict[str, Any]]]
END = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def large() -> World:
    """A made organisation, which these tests only read."""
    return World.make(seed=3, phone_numbers=3, chats=60, messages=3_000, end=END)


@pytest.fixture(scope="module")
def reader(large: World) -> Iterator[Client]:
    """A client of the made organisation."""
    with Simulator(large) as sim, Client(sim) as client:
        yield client


def instant(text: str | None) -> datetime | None:
    """Of the documented style."""
    return None if text is None else datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def with_instants(row: dict[str, Any]) -> dict[str, Any]:
    """Its `..._at` fields as datetimes."""
    return {name: instant(value) if name.endswith("_at") else value for name, value in row.items()}


def walked(client: Client, per_page: int = 100) -> Rows:
    """Everything the API lists, flattened into tables by hand."""
    tables: Rows = {name: [] for name in World.empty().listed()}
    for number in client.get("/phone_numbers").json()["phone_numbers"]:
        user = number.pop("user")
        tables["phone_numbers"].append(number | {f"user__{name}": value for name, value in user.items()})
        listed = client.rows("/chats", phone_number=number["phone_number"], per_page=per_page)
        for chat in listed:
            tables["chat_phone_numbers"].append({"chat_id": chat["id"], "phone_number": number["phone_number"]})
            if chat["id"] not in {row["id"] for row in tables["chats"]}:
                _walk_chat(client, chat, tables, per_page)
    for contact in client.rows("/contacts", "contacts", per_page=per_page):
        owner = contact.pop("contact_owner") or dict.fromkeys(("id", "email", "first_name", "last_name", "name"))
        row = with_instants(contact) | {f"contact_owner__{name}": value for name, value in owner.items()}
        tables["contacts"].append(row)
    subscriptions = client.get("/webhook_subscriptions").json()["webhook_subscriptions"]
    tables["webhook_subscriptions"] = [with_instants(row) for row in subscriptions]
    return tables


def _walk_chat(client: Client, chat: dict[str, Any], tables: Rows, per_page: int) -> None:
    for handle in chat.pop("chat_handles"):
        tables["chat_handles"].append(with_instants(handle) | {"chat_id": chat["id"]})
    tables["chats"].append(chat | {"is_group": chat.pop("group")})
    ours = {number["phone_number"] for number in client.get("/phone_numbers").json()["phone_numbers"]}
    for message in client.rows(f"/chats/{chat['id']}/chat_messages", per_page=per_page):
        for reaction in message.pop("reactions"):
            tables["message_reactions"].append(with_instants(reaction))
        for file in message.pop("attachments"):
            tables["message_attachments"].append(file | {"message_id": message["id"]})
        direction = "outbound" if message["sent_from"] in ours else "inbound"
        row = with_instants(message) | {"chat_id": chat["id"], "direction": direction}
        row["text"] = message["text"]
        tables["messages"].append(row)


def sorted_rows(rows: Rows) -> Rows:
    """In an order that does not matter."""
    return {table: sorted(found, key=lambda row: str(sorted(row.items()))) for table, found in rows.items()}


def test_a_walk_over_all_pages_is_exactly_the_oracle(reader: Client, large: World) -> None:
    assert sorted_rows(walked(reader)) == sorted_rows(large.listed())


def test_a_walk_is_the_oracle_after_every_kind_of_change(client: Client, account: Account, world: World) -> None:
    walked(client)
    world.edit(account.sent.id, "Changed")
    world.react(account.sent.id, "laugh", from_phone="+12125550101")
    world.unreact(account.received.id)
    world.send(account.chat.id, "Late", sent_at=NOON - timedelta(days=9))
    world.send(account.chat.id, "Never", unsent=True)
    world.deliver(account.sent.id, delivery_status="service_unavailable")
    world.receive(account.group.id, "From the second", sent_from="bo@example.com")
    world.leave(account.group.id, account.group.handles[1].id)
    world.join(account.chat.id, "+12125550155")
    world.rename_chat(account.group.id, "Board")
    account.chat.message_count_offset = 3
    world.mark_read(account.chat.id)
    world.add_number("+12125550190")
    world.phone_numbers[account.second].released = True
    world.add_contact(email="only@example.com")
    world.update_contact(7001, first_name="Adah")
    world.add_webhook_subscription("https://example.com/other")
    assert sorted_rows(walked(client)) == sorted_rows(world.listed())
    gone = world.add_chat(["+12125550166"], ours=[account.ours])
    world.receive(gone.id, "Here and gone")
    world.hide_chat(account.group.id)
    world.remove_chat(gone.id)
    world.delete_message(account.received.id)
    world.delete_contact(7001)
    world.delete_webhook_subscription(41)
    world.restore_number(account.second)
    assert sorted_rows(walked(client)) == sorted_rows(world.listed())
    world.show_chat(account.group.id)
    world.restore_contact(7001)
    assert sorted_rows(walked(client)) == sorted_rows(world.listed())


def test_an_empty_account_lists_nothing() -> None:
    world = World.empty()
    with Simulator(world) as sim, Client(sim) as client:
        assert sorted_rows(walked(client)) == sorted_rows(world.listed())
        answer = client.get("/contacts").json()
        assert answer["contacts"] == []
        totals = {"current_page": 1, "per_page": 25, "total_pages": 0, "total_count": 0}
        assert answer["pagination"] == totals


def test_a_page_holds_25_unless_told_and_100_at_most(reader: Client, large: World) -> None:
    chat = max(large.chats.values(), key=lambda chat: chat.message_count)
    path = f"/chats/{chat.id}/chat_messages"
    assert len(reader.get(path).json()["data"]) == 25
    answer = reader.get(path, params={"per_page": 100, "page": 2}).json()
    count = chat.message_count
    assert answer["meta"] == {
        "page": 2,
        "total_pages": -(-count // 100),
        "total_count": count,
        "per_page": 100,
    }
    assert [row["id"] for row in answer["data"]] == [message.id for message in chat.messages[100:200]]


@pytest.mark.parametrize("path", ["/contacts", "/chats?phone_number=%2B12025550100", "/chats/300001/chat_messages"])
@pytest.mark.parametrize(
    "paging",
    [
        "page=0",
        "page=-1",
        "page=two",
        "page=",
        "page=1.5",
        "page=%C2%B2",
        "per_page=101",
        "per_page=0",
        "per_page=x",
    ],
)
def test_a_page_that_makes_no_sense_is_422(client: Client, path: str, paging: str) -> None:
    assert client.get(path + ("&" if "?" in path else "?") + paging).status_code == 422


def test_a_page_past_the_end_is_empty_and_keeps_the_totals(client: Client, account: Account) -> None:
    answer = client.get(f"/chats/{account.chat.id}/chat_messages", params={"page": 9}).json()
    assert answer == {"data": [], "meta": {"page": 9, "total_pages": 1, "total_count": 2, "per_page": 25}}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("?phone_number=", 400),
        ("?phone_number=%2B12025550100", 200),
        ("?phone_number=2025550100", 200),
        ("?phone_number=+12025550100", 403),  # a plus that was not escaped arrives as a space
        ("?phone_number=(202)555-0100", 403),
        ("?phone_number=%2B12025559999", 403),
        ("?phone_number=%2B12125550101", 403),
    ],
)
def test_chats_are_listed_for_one_of_our_numbers_only(client: Client, query: str, status: int) -> None:
    assert client.get(f"/chats{query}").status_code == status


def test_a_chat_is_listed_under_each_of_our_numbers_in_it(client: Client, account: Account) -> None:
    first = client.rows("/chats", phone_number=account.ours)
    second = client.rows("/chats", phone_number=account.second)
    assert [chat["id"] for chat in first] == [account.chat.id, account.group.id]
    assert [chat["id"] for chat in second] == [account.group.id]


def test_a_released_number_is_refused_and_its_chats_are_gone(client: Client, account: Account) -> None:
    account.world.release_number(account.ours)
    assert client.get("/chats", params={"phone_number": account.ours}).status_code == 403
    assert client.get(f"/chats/{account.chat.id}/chat_messages").status_code == 404
    assert client.get(f"/chats/{account.group.id}").status_code == 200
    account.world.restore_number(account.ours)
    assert client.get(f"/chats/{account.chat.id}/chat_messages").status_code == 200


def test_a_hidden_chat_is_404_until_it_is_shown_with_its_history(client: Client, account: Account) -> None:
    path = f"/chats/{account.chat.id}/chat_messages"
    assert len(client.rows(path)) == 2
    account.world.hide_chat(account.chat.id)
    assert client.get(path).status_code == 404
    account.world.show_chat(account.chat.id)
    assert len(client.rows(path)) == 2


@pytest.fixture
def minutes(account: Account) -> list[int]:
    """Ids of messages sent at 0, 1, 2, 2 and 3 minutes after noon and of one never sent."""
    world = account.world
    chat_id = world.add_chat(["+12125550170"], chat_id=500_000).id
    ids = [world.send(chat_id, "m", sent_at=NOON + timedelta(minutes=minute)).id for minute in (2, 0, 2, 3, 1)]
    never = world.send(chat_id, "m", unsent=True).id
    return [ids[1], ids[4], ids[0], ids[2], ids[3], never]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [0, 1, 2, 3, 4, 5]),
        ("?sort=asc", [0, 1, 2, 3, 4, 5]),
        ("?sort=desc", [4, 3, 2, 1, 0, 5]),
        ("?after=2025-05-21T12:02:00Z", [4]),
        ("?after=2025-05-21T12:01:59.999Z", [2, 3, 4]),
        ("?after=2025-05-21T06:02:00-06:00", [4]),
        ("?after=2025-05-21T14:01:00%2B02:00", [2, 3, 4]),
        ("?after=2025-05-21T12:01:00", [2, 3, 4]),
        ("?before=2025-05-21T12:02:00Z", [0, 1]),
        ("?before=2025-05-21", []),
        ("?after=2025-05-21T12:00:00Z&before=2025-05-21T12:03:00Z", [1, 2, 3]),
        ("?after=2025-05-21T12:00:00Z&sort=desc", [4, 3, 2, 1]),
        ("?after=2025-05-21T12:03:00Z&before=2025-05-21T12:01:00Z", []),
    ],
)
def test_messages_are_filtered_and_sorted(
    client: Client, minutes: list[int], query: str, expected: list[int]
) -> None:
    answer = client.get(f"/chats/500000/chat_messages{query}").json()
    assert [row["id"] for row in answer["data"]] == [minutes[index] for index in expected]
    assert answer["meta"]["total_count"] == len(expected)


@pytest.mark.parametrize(
    "query",
    ["after=yesterday", "after=", "before=2025-13-45T00:00:00Z", "after=2025-05-21T12:00:00+02:00", "sort=up"],
)
def test_a_filter_that_cannot_be_read_is_422(client: Client, account: Account, query: str) -> None:
    assert client.get(f"/chats/{account.chat.id}/chat_messages?{query}").status_code == 422


def test_a_kept_page_is_rendered_anew_when_its_chat_changes(client: Client, account: Account, world: World) -> None:
    path = f"/chats/{account.chat.id}/chat_messages"
    for text in ("one", "two"):
        world.edit(account.sent.id, text)
        assert [client.get(path).json()["data"][0]["text"] for _ in range(2)] == [text, text]
    account.sent.text = "by hand"
    world.touch(account.chat.id)
    assert client.get(path).json()["data"][0]["text"] == "by hand"
    world.remove_chat(account.chat.id)
    world.add_chat(["+12125550101"], chat_id=account.chat.id)
    assert client.get(path).json()["data"] == []


def test_chats_may_be_listed_by_their_latest_message(account: Account, world: World) -> None:
    with Simulator(world, quirks=Quirks(newest_chats_first=True)) as sim, Client(sim) as client:
        newest_first = client.rows("/chats", phone_number=account.ours)
        assert [chat["id"] for chat in newest_first] == [account.chat.id, account.group.id]
        world.receive(account.group.id, "News")
        newest_first = client.rows("/chats", phone_number=account.ours)
        assert [chat["id"] for chat in newest_first] == [account.group.id, account.chat.id]
