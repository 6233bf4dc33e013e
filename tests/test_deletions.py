"""What is gone upstream is marked and keeps its last values, unless too much is gone at once to be believed."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from linq_source.settings import CONTACTS
from linq_source.simulator import Quirks, Request, Simulator, World
from tests.changes import messages_of
from tests.support import Warehouse, assert_mirrors, small_world, with_limits

pytestmark = pytest.mark.without_dlt

Serve = Callable[..., Simulator]
Known = Callable[..., tuple[World, Simulator]]


@pytest.mark.parametrize("table", ["messages", "chats", "contacts", "phone_numbers"])
def test_what_is_gone_keeps_its_last_values_and_is_marked_and_loses_the_mark_when_it_comes_back(
    table: str, known: Known, warehouse: Warehouse
) -> None:
    world, linq = known()
    chat_id = world.listed()["chats"][2]["id"]
    target: dict[str, Any] = {
        "messages": messages_of(world, chat_id)[0],
        "chats": {"id": chat_id},
        "contacts": world.listed()["contacts"][0],
        "phone_numbers": world.listed()["phone_numbers"][1],
    }[table]
    before = next(row for row in warehouse.rows(table) if row["id"] == target["id"])
    leave = {
        "messages": lambda: world.delete_message(target["id"]),
        "chats": lambda: world.hide_chat(chat_id),
        "contacts": lambda: world.delete_contact(target["id"]),
        "phone_numbers": lambda: world.release_number(target["phone_number"]),
    }
    come_back = {
        "messages": lambda: world.receive(
            chat_id, target["text"], sent_at=target["sent_at"], message_id=target["id"]
        ),
        "chats": lambda: world.show_chat(chat_id),
        "contacts": lambda: world.restore_contact(target["id"]),
        "phone_numbers": lambda: world.restore_number(target["phone_number"]),
    }
    leave[table]()
    started = datetime.now(UTC)
    assert warehouse.sync(linq).exit_code == 0
    gone = next(row for row in warehouse.rows(table) if row["id"] == target["id"])
    assert gone["deleted_at"] >= started
    assert _values(gone) == _values(before)
    assert_mirrors(warehouse, world)
    marked_at = gone["deleted_at"]
    warehouse.sync(linq)
    still = next(row for row in warehouse.rows(table) if row["id"] == target["id"])
    assert still["deleted_at"] == marked_at, "the mark says when it was first seen"
    come_back[table]()
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)


def _values(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("deleted_at", "_dlt_load_id")}


def test_messages_of_a_chat_that_is_gone_are_not_touched(known: Known, warehouse: Warehouse) -> None:
    world, linq = known()
    before = warehouse.everything()["messages"]
    world.remove_chat(world.listed()["chats"][2]["id"])
    warehouse.sync(linq)
    assert warehouse.everything()["messages"] == before


def guarded_world() -> World:
    world = small_world(chats=4, messages=80, contacts=10)
    for number in range(80):
        world.add_contact(first_name=f"Contact {number}")
    return world


def test_a_mass_deletion_is_refused_named_and_believed_only_when_said_to_be_meant(
    serve: Serve, warehouse: Warehouse
) -> None:
    world = guarded_world()
    linq = serve(world)
    warehouse.sync(linq)
    for row in world.listed()["contacts"][:40]:
        world.delete_contact(row["id"])
    result = warehouse.sync(linq)
    assert result.exit_code == 3
    assert "contacts" in result.summary.skipped[0]
    assert "--allow-mass-delete" in result.summary.skipped[0]
    assert len(warehouse.live("contacts")) == 90
    assert warehouse.sync(linq, allow_mass_delete=True).exit_code == 0
    assert_mirrors(warehouse, world)


@pytest.mark.parametrize("is_gone", [True, False])
def test_what_a_killed_load_left_of_a_message_goes_with_it_or_stays_with_it(
    is_gone: bool, known: Known, warehouse: Warehouse
) -> None:
    world, linq = known()
    reaction = world.listed()["message_reactions"][0]
    message_id = reaction["chat_message_id"]
    (chat_id,) = (row["chat_id"] for row in world.listed()["messages"] if row["id"] == message_id)
    # The load that was killed had written its reactions and nothing else.
    warehouse.execute(f"delete from messages where id = {message_id}")
    warehouse.execute(f"delete from chat_syncs where chat_id = {chat_id}")
    if is_gone:
        world.delete_message(message_id)
    assert warehouse.sync(linq).exit_code == 0
    stored = {row["id"] for row in warehouse.rows("message_reactions")}
    assert (reaction["id"] in stored) is not is_gone
    assert stored == {row["id"] for row in world.listed()["message_reactions"]}
    assert_mirrors(warehouse, world)
    assert warehouse.sync(linq).loads == []


@pytest.mark.parametrize("left", ["both", "handles"])
def test_what_a_killed_load_left_of_a_chat_that_went_since_goes_too(
    left: str, known: Known, warehouse: Warehouse
) -> None:
    world, linq = known()
    chat_id = world.listed()["chats"][3]["id"]
    warehouse.execute(f"delete from chats where id = {chat_id}")
    if left == "handles":
        warehouse.execute(f"delete from chat_phone_numbers where chat_id = {chat_id}")
    world.hide_chat(chat_id)
    if left == "handles":  # who reads one number alone cannot tell whose it was
        number = world.listed_numbers()[0].phone_number
        assert warehouse.sync(linq, phone_numbers=[number]).exit_code == 0
        assert warehouse.query(f"select * from chat_handles where chat_id = {chat_id}") != []
    assert warehouse.sync(linq).exit_code == 0
    assert warehouse.query(f"select * from chat_handles where chat_id = {chat_id}") == []
    assert_mirrors(warehouse, world)
    world.show_chat(chat_id)
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)


def test_a_mass_deletion_of_messages_is_refused_whole_and_tried_again(known: Known, warehouse: Warehouse) -> None:
    world, linq = known(chats=4, messages=80)
    for row in world.listed()["messages"][:30]:
        world.delete_message(row["id"])
    for _ in range(2):
        result = warehouse.sync(linq)
        assert result.exit_code == 3
        assert any(sentence.startswith("messages:") for sentence in result.summary.skipped)
        assert len(warehouse.live("messages")) == 80
    assert warehouse.sync(linq, allow_mass_delete=True).exit_code == 0
    assert_mirrors(warehouse, world)


def test_a_fifth_of_a_table_may_go_without_a_word(serve: Serve, warehouse: Warehouse) -> None:
    world = guarded_world()
    linq = serve(world)
    warehouse.sync(linq)
    for row in world.listed()["contacts"][:18]:
        world.delete_contact(row["id"])
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)


def test_while_a_list_never_stands_still_no_deletion_is_believed(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world(messages=60, contacts=12)
    linq = serve(world, quirks=Quirks(page_size_cap=3))
    warehouse.sync(linq)
    restless, gone = (world.listed()["contacts"][position]["id"] for position in (2, 5))
    world.delete_contact(gone)

    def stir(request: Request) -> None:
        if request.path == CONTACTS:
            (world.restore_contact if restless not in world.contacts else world.delete_contact)(restless)

    linq.before_request = stir
    result = warehouse.sync(linq, limits=with_limits(concurrency=1))
    linq.before_request = None
    assert result.exit_code == 3
    assert result.summary.skipped == [
        "contacts: the list kept changing while it was read, so no deletion was believed"
    ]
    assert len(warehouse.live("contacts")) == 12
    if restless not in world.contacts:
        world.restore_contact(restless)
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)
    assert [row["id"] for row in warehouse.rows("contacts") if row["deleted_at"]] == [gone]
