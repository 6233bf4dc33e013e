"""Rows set aside: kept as they were sent, met again and not stored again, gone with what healed or left."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linq_source.shards import Shard
from linq_source.simulator import World
from tests.poison import Poison, PoisonedSimulator
from tests.support import OLD, Warehouse, assert_mirrors, small_world, tiny_world

pytestmark = pytest.mark.without_dlt

Poisoned = Callable[[World], PoisonedSimulator]


def one_chat(world: World, count: int = 3) -> int:
    """The id of a new chat of so many old messages."""
    chat = world.add_chat(["+12125550199"], joined_at=OLD)
    for number in range(count):
        world.receive(chat.id, f"Message {number}", sent_at=OLD)
    return chat.id


@pytest.mark.parametrize(
    ("table", "fields"),
    [
        ("contacts", {"email": {}}),
        ("chats", {"display_name": {}}),
        ("phone_numbers", {"response_rate": "n/a"}),
        ("phone_numbers", {"phone_number": {}}),
        ("messages", {"text": {}}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_stored_row_that_no_longer_fits_keeps_its_last_values_and_is_not_taken_for_deleted(
    table: str, fields: dict[str, Any], poisoned: Poisoned, stored: Callable[..., Path], warehouse: Warehouse
) -> None:
    world = tiny_world()
    linq = poisoned(world)
    shutil.copyfile(stored(messages=60, contacts=12), warehouse.path)
    linq.poisoned[table, world.listed()[table][0]["id"]] = Poison(table, "late", fields)
    result = warehouse.sync(linq, recheck_hours=0)
    assert (result.exit_code, result.summary.skipped) == (3, [])
    assert_mirrors(warehouse, world)
    assert [row["table_name"] for row in warehouse.rows("rejected_rows")] == [table]
    linq.heal()
    assert warehouse.sync(linq, recheck_hours=0).exit_code == 0
    assert_mirrors(warehouse, world)
    assert warehouse.rows("rejected_rows") == []


def test_a_rejected_row_is_kept_as_linq_sent_it_with_where_it_came_from(
    poisoned: Poisoned, warehouse: Warehouse
) -> None:
    world = World.empty()
    chat_id = one_chat(world)
    message_id = world.listed()["messages"][1]["id"]
    linq = poisoned(world)
    linq.poisoned["messages", message_id] = Poison("messages", "", {"text": {"half": "\ud83d", "n": 2**70}})
    warehouse.sync(linq)
    [row] = warehouse.rows("rejected_rows")
    assert (row["table_name"], row["chat_id"]) == ("messages", chat_id)
    assert row["reason"] == "text: an object where a text belongs"
    sent = json.loads(row["row_json"])
    assert (sent["id"], sent["text"]) == (message_id, {"half": "\ufffd", "n": 2**70})
    assert row["rejected_at"] is not None


def test_a_rejected_message_stays_rejected_until_its_chat_is_read_whole(
    poisoned: Poisoned, warehouse: Warehouse
) -> None:
    world = World.empty()
    chat_id = one_chat(world)
    linq = poisoned(world)
    linq.poisoned["messages", world.listed()["messages"][0]["id"]] = Poison("messages", "", {"text": {}})
    warehouse.sync(linq)
    linq.heal()
    world.receive(chat_id, "One more", sent_at=OLD.replace(hour=5))
    window = warehouse.sync(linq)
    assert window.requests == 5, "numbers, chats, contacts, subscriptions, and one page of the chat"
    assert len(warehouse.rows("rejected_rows")) == 1
    assert warehouse.sync(linq, recheck_hours=0).exit_code == 0
    assert warehouse.rows("rejected_rows") == []
    assert_mirrors(warehouse, world)


def test_a_rejected_row_that_vanishes_leaves_with_the_list_it_was_in(
    poisoned: Poisoned, warehouse: Warehouse
) -> None:
    world = tiny_world()
    linq = poisoned(world)
    rows = world.listed()
    contact_id, message = rows["contacts"][0]["id"], rows["messages"][0]
    linq.poisoned["contacts", contact_id] = Poison("contacts", "", {"email": {}})
    linq.poisoned["messages", message["id"]] = Poison("messages", "", {"text": {}})
    assert warehouse.sync(linq).summary.rejected == 2
    world.delete_contact(contact_id)
    world.delete_message(message["id"])
    result = warehouse.sync(linq)
    assert (result.exit_code, result.summary.rejected) == (0, 0)
    assert warehouse.rows("rejected_rows") == []
    assert_mirrors(warehouse, world)


def test_an_incomplete_reading_heals_nothing(poisoned: Poisoned, warehouse: Warehouse) -> None:
    world = tiny_world()
    linq = poisoned(world)
    rows = world.listed()
    numbers = [row["phone_number"] for row in rows["phone_numbers"]]
    under = {row["chat_id"]: row["phone_number"] for row in rows["chat_phone_numbers"]}
    chat_id = next(chat_id for chat_id, number in under.items() if number == numbers[0])
    linq.poisoned["chats", chat_id] = Poison("chats", "", {"display_name": {}})
    warehouse.sync(linq)
    warehouse.sync(linq, phone_numbers=[numbers[1]])
    assert len(warehouse.rows("rejected_rows")) == 1, "the chats of the other number were not listed"


def test_a_rejected_chat_that_healed_or_left_leaves_with_the_shard_that_answers_for_it(
    poisoned: Poisoned, warehouse: Warehouse
) -> None:
    world = small_world(phone_numbers=6, chats=24, messages=60, contacts=5)
    linq = poisoned(world)
    owners = {row["chat_id"]: row["phone_number"] for row in reversed(world.listed()["chat_phone_numbers"])}
    shards = [Shard(1, 2), Shard(2, 2)]
    healed, gone = (next(chat for chat, number in owners.items() if shard.owns(number)) for shard in shards)
    stays = next(chat for chat, number in owners.items() if shards[1].owns(number) and chat not in (healed, gone))
    for chat in (healed, gone, stays):
        linq.poisoned["chats", chat] = Poison("chats", "", {"display_name": {}})
    for shard in shards:
        warehouse.sync(linq, shard=shard)
    assert rejected_chats(warehouse) == {healed, gone, stays}
    del linq.poisoned["chats", healed]
    world.remove_chat(gone)
    warehouse.sync(linq, shard=shards[1])
    assert rejected_chats(warehouse) == {healed, gone, stays}, "the first answers for it, and for what nobody lists"
    warehouse.sync(linq, shard=shards[0])
    assert rejected_chats(warehouse) == {stays}, "which the other has looked at"
    linq.heal()
    assert warehouse.sync(linq, shard=shards[1]).exit_code == 0
    assert rejected_chats(warehouse) == set()


def rejected_chats(warehouse: Warehouse) -> set[int]:
    return {json.loads(row["row_json"])["id"] for row in warehouse.rows("rejected_rows")}


def test_the_same_poison_again_after_it_was_healed_is_rejected_again(
    poisoned: Poisoned, warehouse: Warehouse
) -> None:
    world = tiny_world()
    linq = poisoned(world)
    key = "contacts", world.listed()["contacts"][0]["id"]
    for _ in range(2):
        linq.poisoned[key] = Poison("contacts", "", {"email": {}})
        assert warehouse.sync(linq).exit_code == 3
        assert len(warehouse.rows("rejected_rows")) == 1
        linq.heal()
        assert warehouse.sync(linq).exit_code == 0
        assert warehouse.rows("rejected_rows") == []


def test_a_recent_chat_with_a_rejected_message_costs_one_request_at_each_sync(
    poisoned: Poisoned, warehouse: Warehouse
) -> None:
    world = World.empty()
    chat = world.add_chat(["+12125550199"])
    bad = [world.receive(chat.id, f"Message {number}").id for number in range(5)]
    linq = poisoned(world)
    for message_id, fields in zip(
        bad, [{"id": 2**70}, {"id": None, "text": "\ud83d"}, {"id": "x\0"}, {"text": {}}, {"id": 2**63}], strict=True
    ):
        linq.poisoned["messages", message_id] = Poison("messages", "", fields)
    world.receive(chat.id, "A good one")
    warehouse.sync(linq)
    before = warehouse.everything()
    for _ in range(2):
        linq.clear_requests()
        assert warehouse.sync(linq).summary.rejected == 5
        assert linq.count("/chat_messages$") == 1
        assert warehouse.everything() == before


def test_poison_in_a_chat_that_is_read_and_committed_in_parts_is_rejected_once_and_heals(
    poisoned: Poisoned, warehouse: Warehouse
) -> None:
    world = World.make(seed=4, phone_numbers=1, chats=1, messages=2_600, contacts=0, end=OLD)
    linq = poisoned(world)
    messages = [row["id"] for row in world.listed()["messages"]]
    bad = [messages[0], messages[1_999], messages[2_000], messages[-1]]
    for message_id in bad:
        linq.poisoned["messages", message_id] = Poison("messages", "", {"text": {}})
    first = warehouse.sync(linq, target={"commit_every": 2_000})
    assert len(first.loads) > 1
    assert (first.exit_code, first.summary.rejected) == (3, 4)
    assert {row["id"] for row in warehouse.rows("messages")} == set(messages) - set(bad)
    linq.clear_requests()
    assert warehouse.sync(linq).exit_code == 0, "nothing changed, so nothing is read, and nothing is met"
    assert linq.count("/chat_messages$") == 0
    assert len(warehouse.rows("rejected_rows")) == 4
    linq.heal()
    assert warehouse.sync(linq, recheck_hours=0, target={"commit_every": 2_000}).exit_code == 0
    assert warehouse.rows("rejected_rows") == []
    assert_mirrors(warehouse, world)
