"""Servers that differ from the documentation: each quirk does what it says and nothing else."""

from typing import Any

import pytest

from linq_source.simulator import Quirks, Simulator
from tests.simulator import schema
from tests.simulator.conftest import Account, Client


def answers(account: Account, quirks: Quirks) -> dict[str, Any]:
    """Each list of the small account under some quirks."""
    with Simulator(account.world, quirks=quirks) as sim, Client(sim) as client:
        return {
            "chats": client.get("/chats", params={"phone_number": account.ours}).json(),
            "messages": client.get(f"/chats/{account.chat.id}/chat_messages").json(),
            "contacts": client.get("/contacts").json(),
            "phone_numbers": client.get("/phone_numbers").json(),
            "webhook_subscriptions": client.get("/webhook_subscriptions").json(),
        }


@pytest.fixture
def plain(account: Account) -> dict[str, Any]:
    """The lists without quirks."""
    return answers(account, Quirks())


def test_after_may_include_its_instant(account: Account) -> None:
    path = f"/chats/{account.chat.id}/chat_messages"
    after = {"after": "2025-05-21T10:00:00Z"}
    for inclusive, expected in ((False, [account.received.id]), (True, [account.sent.id, account.received.id])):
        quirks = Quirks(after_inclusive=inclusive)
        with Simulator(account.world, quirks=quirks) as sim, Client(sim) as client:
            assert [row["id"] for row in client.get(path, params=after).json()["data"]] == expected


def test_unknown_fields_may_come_on_messages_chats_and_contacts(account: Account, plain: dict[str, Any]) -> None:
    found = answers(account, Quirks(extra_fields=True))
    for name, key in (("messages", "data"), ("chats", "data"), ("contacts", "contacts")):
        for row, known in zip(found[name][key], plain[name][key], strict=True):
            assert set(row) - set(known) == {"priority", "labels"}
            assert isinstance(row["labels"], dict)
    assert found["phone_numbers"] == plain["phone_numbers"]


def test_fields_may_be_missing_everywhere(account: Account) -> None:
    found = answers(account, Quirks(missing_fields=("edited_at", "service", "title", "user")))
    assert "edited_at" not in found["messages"]["data"][0]
    assert "service" not in found["chats"]["data"][0]
    assert "service" not in found["chats"]["data"][0]["chat_handles"][0]
    assert "title" not in found["contacts"]["contacts"][0]
    assert "user" not in found["phone_numbers"]["phone_numbers"][0]


def test_totals_may_be_missing(account: Account, plain: dict[str, Any]) -> None:
    found = answers(account, Quirks(missing_meta=True))
    assert found["messages"] == {"data": plain["messages"]["data"]}
    assert found["contacts"] == {"contacts": plain["contacts"]["contacts"]}


def test_empty_lists_may_be_null(account: Account) -> None:
    found = answers(account, Quirks(null_lists=True))
    assert found["messages"]["data"][0]["reactions"] is None
    assert found["messages"]["data"][1]["attachments"] is None
    assert found["messages"]["data"][1]["reactions"] != []
    account.world.delete_contact(7001)
    account.world.delete_webhook_subscription(41)
    found = answers(account, Quirks(null_lists=True))
    assert found["contacts"]["contacts"] is None
    assert found["contacts"]["pagination"]["total_count"] == 0
    assert found["webhook_subscriptions"] == {"webhook_subscriptions": None}


def test_only_an_honestly_empty_list_is_null(account: Account) -> None:
    with Simulator(account.world, quirks=Quirks(null_lists=True)) as sim, Client(sim) as client:
        assert client.get("/contacts", params={"page": 7}).json()["contacts"] == []


def test_empty_texts_may_be_null(account: Account) -> None:
    found = answers(account, Quirks(null_strings=True))["contacts"]["contacts"][0]
    assert (found["company"], found["first_name"]) == (None, "Ada")


def test_ids_may_be_text(account: Account) -> None:
    found = answers(account, Quirks(string_ids=True))
    assert found["chats"]["data"][0]["id"] == str(account.chat.id)
    assert found["chats"]["data"][0]["message_count"] == 2
    received = found["messages"]["data"][1]
    assert received["chat_handle_id"] == str(account.received.chat_handle_id)
    assert received["reactions"][0]["chat_message_id"] == str(account.received.id)
    assert found["phone_numbers"]["phone_numbers"][0]["user"]["id"].isdigit()


def test_total_pages_may_be_text(account: Account) -> None:
    found = answers(account, Quirks(total_pages_as_text=True))
    assert found["messages"]["meta"]["total_pages"] == "1"
    assert found["contacts"]["pagination"]["total_pages"] == "1"
    assert found["contacts"]["pagination"]["total_count"] == 1


def test_pages_may_be_smaller_than_asked_for(account: Account) -> None:
    for number in range(6):
        account.world.receive(account.chat.id, f"No. {number}")
    with Simulator(account.world, quirks=Quirks(page_size_cap=3)) as sim, Client(sim) as client:
        path = f"/chats/{account.chat.id}/chat_messages"
        answer = client.get(path, params={"per_page": 100}).json()
        assert answer["meta"] == {"page": 1, "total_pages": 3, "total_count": 8, "per_page": 3}
        expected = [message.id for message in account.chat.messages]
        assert [row["id"] for row in client.rows(path, per_page=100)] == expected


def test_quirks_may_be_replaced_while_it_serves(account: Account) -> None:
    with Simulator(account.world) as sim, Client(sim) as client:
        path = f"/chats/{account.chat.id}/chat_messages"
        assert client.get(path).json()["data"][0]["id"] == account.sent.id
        sim.quirks = Quirks(string_ids=True)
        assert client.get(path).json()["data"][0]["id"] == str(account.sent.id)


def test_answers_without_quirks_keep_to_the_schemas(plain: dict[str, Any]) -> None:
    schema.conforms(plain["messages"], {"data": [schema.CHAT_MESSAGE], "meta": schema.META})
    schema.conforms(plain["contacts"], {"contacts": [schema.CONTACT], "pagination": schema.PAGINATION})
