"""What changes upstream between two syncs is in the tables after the second: whole tables are compared."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from linq_source.simulator import Simulator, World
from tests.changes import ANYWHERE, RECENT, SOMEONE, messages_of
from tests.support import OLD, Warehouse, assert_mirrors, small_world

pytestmark = pytest.mark.without_dlt

Serve = Callable[..., Simulator]
Known = Callable[..., tuple[World, Simulator]]
Change = Callable[[World, int], object]


def recent_world() -> World:
    """A world with a chat of five recent messages beside older ones."""
    world = small_world()
    chat = world.add_chat([SOMEONE, "+12125550188"])
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5)
    for hour in range(4):
        world.receive(chat.id, f"Message {hour}", sent_at=start + timedelta(hours=hour))
    world.send(chat.id, "Answer", sent_at=start + timedelta(hours=4), delivery_status="pending")
    return world


@pytest.mark.parametrize("change", ANYWHERE, ids=lambda change: change.__name__)
def test_a_change_in_an_old_chat_is_seen_by_the_next_sync(change: Change, known: Known, warehouse: Warehouse) -> None:
    world, linq = known()
    change(world, world.listed()["chats"][2]["id"])
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)
    before = warehouse.everything()
    assert warehouse.sync(linq).summary.rows["messages"] == 0
    assert warehouse.everything().keys() == before.keys()
    assert_mirrors(warehouse, world)


@pytest.mark.parametrize("change", RECENT, ids=lambda change: change.__name__)
def test_a_change_of_a_recent_message_is_seen_by_the_next_sync(
    change: Change, serve: Serve, warehouse: Warehouse
) -> None:
    world = recent_world()
    linq = serve(world)
    warehouse.sync(linq)
    change(world, world.listed()["chats"][-1]["id"])
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)


def test_a_reaction_that_was_taken_back_is_gone_and_the_others_stay(serve: Serve, warehouse: Warehouse) -> None:
    world = recent_world()
    chat_id = world.listed()["chats"][-1]["id"]
    message_id = messages_of(world, chat_id)[0]["id"]
    world.react(message_id, "love", from_phone=SOMEONE)
    world.react(message_id, "laugh", from_phone="+12125550188")
    linq = serve(world)
    warehouse.sync(linq)
    world.unreact(message_id, from_phone=SOMEONE)
    warehouse.sync(linq)
    assert_mirrors(warehouse, world)
    found = [row for row in warehouse.rows("message_reactions") if row["chat_message_id"] == message_id]
    assert [(row["reaction"], row["is_removed"]) for row in found] == [("laugh", None)]


def test_a_chat_that_becomes_visible_late_comes_with_two_years_of_history(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    late = world.add_chat([SOMEONE])
    for week in range(104):
        world.receive(late.id, f"Week {week}", sent_at=OLD - timedelta(weeks=week))
    world.hide_chat(late.id)
    linq = serve(world)
    warehouse.sync(linq)
    world.show_chat(late.id)
    warehouse.sync(linq)
    assert_mirrors(warehouse, world)


def test_a_count_that_never_agrees_is_chased_once_and_then_left_alone(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    chat_id = world.listed()["chats"][2]["id"]
    world.chats[chat_id].message_count_offset = -3
    world.touch(chat_id)
    linq = serve(world)
    warehouse.sync(linq)
    linq.clear_requests()
    warehouse.sync(linq)
    assert linq.count(".*/chat_messages$") == 0
    world.receive(chat_id, "One more")
    linq.clear_requests()
    warehouse.sync(linq)
    assert_mirrors(warehouse, world)
    assert linq.count(".*/chat_messages$") == 1, "the difference is remembered: reading what is new adds up"


def test_a_message_from_the_future_does_not_hide_those_that_come_after_it(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    chat_id = world.listed()["chats"][2]["id"]
    world.receive(chat_id, "From 2035", sent_at=datetime(2035, 1, 1, tzinfo=UTC))
    linq = serve(world)
    warehouse.sync(linq)
    world.receive(chat_id, "From now")
    linq.clear_requests()
    warehouse.sync(linq)
    assert_mirrors(warehouse, world)
    assert linq.count(f".*/{chat_id}/chat_messages$") == 1


def test_a_message_that_was_never_handed_over_is_stored_without_a_time(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    chat_id = world.listed()["chats"][2]["id"]
    world.send(chat_id, "Waiting", unsent=True)
    linq = serve(world)
    warehouse.sync(linq)
    assert_mirrors(warehouse, world)
    world.receive(chat_id, "Next")
    warehouse.sync(linq)
    assert_mirrors(warehouse, world)
