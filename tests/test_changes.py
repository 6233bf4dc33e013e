"""What changes upstream between two syncs is in the tables after the second: whole tables are compared."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from linq_source.settings import CONTACTS
from linq_source.simulator import Quirks, Request, Simulator, World
from tests.support import OLD, Warehouse, assert_mirrors, small_world, with_limits

pytestmark = pytest.mark.without_dlt

Serve = Callable[..., Simulator]
Known = Callable[..., tuple[World, Simulator]]
Change = Callable[[World, int], object]
SOMEONE = "+12125550199"


def messages_of(world: World, chat_id: int) -> list[dict[str, Any]]:
    """Messages of a chat, oldest first."""
    return [row for row in world.listed()["messages"] if row["chat_id"] == chat_id]


def recent_world() -> World:
    """A world with a chat of five recent messages beside older ones."""
    world = small_world()
    chat = world.add_chat([SOMEONE, "+12125550188"])
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5)
    for hour in range(4):
        world.receive(chat.id, f"Message {hour}", sent_at=start + timedelta(hours=hour))
    world.send(chat.id, "Answer", sent_at=start + timedelta(hours=4), delivery_status="pending")
    return world


def new_message(world: World, chat_id: int) -> None:
    world.receive(chat_id, "New")


def late_message(world: World, chat_id: int) -> None:
    oldest = messages_of(world, chat_id)[0]["sent_at"]
    world.receive(chat_id, "Late", sent_at=oldest - timedelta(days=40))


def message_in_the_second_of_the_cursor(world: World, chat_id: int) -> None:
    world.receive(chat_id, "Same second", sent_at=messages_of(world, chat_id)[-1]["sent_at"])


def three_hundred_messages_in_one_second(world: World, chat_id: int) -> None:
    for number in range(300):
        world.receive(chat_id, f"Burst {number}", sent_at=OLD + timedelta(days=1))


def deleted_first_message(world: World, chat_id: int) -> None:
    world.delete_message(messages_of(world, chat_id)[0]["id"])


def deleted_last_message(world: World, chat_id: int) -> None:
    world.delete_message(messages_of(world, chat_id)[-1]["id"])


def new_chat(world: World, _: int) -> None:
    world.receive(world.add_chat([SOMEONE]).id, "First", sent_at=OLD)


def chat_gone(world: World, chat_id: int) -> None:
    world.remove_chat(chat_id)


def participant_joined(world: World, chat_id: int) -> None:
    world.join(chat_id, "+12125550177")


def participant_left(world: World, chat_id: int) -> None:
    handle = next(row for row in world.listed()["chat_handles"] if row["chat_id"] == chat_id)
    world.leave(chat_id, handle["id"])


def chat_renamed(world: World, chat_id: int) -> None:
    world.rename_chat(chat_id, "The new name")


def contact_changed(world: World, _: int) -> None:
    world.update_contact(world.listed()["contacts"][0]["id"], company="Elsewhere")


def contact_changed_without_a_new_updated_at(world: World, _: int) -> None:
    world.update_contact(world.listed()["contacts"][0]["id"], bump=False, company="Elsewhere")


def contact_lost_its_owner(world: World, _: int) -> None:
    owned = next(row for row in world.listed()["contacts"] if row["contact_owner__id"])
    world.update_contact(owned["id"], contact_owner=None)


def contact_gone(world: World, _: int) -> None:
    world.delete_contact(world.listed()["contacts"][0]["id"])


def new_contact(world: World, _: int) -> None:
    world.add_contact(first_name="Ada", email="ada@example.com")


def number_added(world: World, _: int) -> None:
    number = world.add_number("+12125550122")
    world.receive(world.add_chat([SOMEONE], ours=[number.phone_number]).id, "Hi", sent_at=OLD)


def number_released(world: World, _: int) -> None:
    world.release_number(world.listed_numbers()[1].phone_number)


def forwarding_changed(world: World, _: int) -> None:
    world.listed_numbers()[0].forwarding_number = "+12125550111"


def subscription_added(world: World, _: int) -> None:
    world.add_webhook_subscription(webhook_url="https://example.com/a", events=["message.sent"], version=2)


def message_count_wrong_for_ever(world: World, chat_id: int) -> None:
    world.chats[chat_id].message_count_offset = 7
    world.touch(chat_id)


ANYWHERE = [
    new_message, late_message, message_in_the_second_of_the_cursor, three_hundred_messages_in_one_second,
    deleted_first_message, deleted_last_message, new_chat, chat_gone, participant_joined, participant_left,
    chat_renamed, contact_changed, contact_changed_without_a_new_updated_at, contact_lost_its_owner, contact_gone,
    new_contact, number_added, number_released, forwarding_changed, subscription_added,
    message_count_wrong_for_ever,
]  # fmt: skip


def edited(world: World, chat_id: int) -> None:
    world.edit(messages_of(world, chat_id)[-1]["id"], "Edited")


def read(world: World, chat_id: int) -> None:
    world.mark_read(chat_id)


def delivered(world: World, chat_id: int) -> None:
    world.deliver(messages_of(world, chat_id)[-1]["id"])


def reacted_to(world: World, chat_id: int) -> None:
    world.react(messages_of(world, chat_id)[0]["id"], "love", from_phone=SOMEONE)


def one_deleted_and_one_added(world: World, chat_id: int) -> None:
    world.delete_message(messages_of(world, chat_id)[1]["id"])
    world.receive(chat_id, "Instead")


RECENT = [edited, read, delivered, reacted_to, one_deleted_and_one_added]


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


def test_messages_of_a_chat_that_is_gone_are_not_touched(known: Known, warehouse: Warehouse) -> None:
    world, linq = known()
    before = warehouse.everything()["messages"]
    world.remove_chat(world.listed()["chats"][2]["id"])
    warehouse.sync(linq)
    assert warehouse.everything()["messages"] == before


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


QUIRKS = {
    "after is inclusive": Quirks(after_inclusive=True),
    "milliseconds": Quirks(time_style="milliseconds"),
    "offsets": Quirks(time_style="offset"),
    "Ruby's times": Quirks(time_style="ruby"),
    "extra fields": Quirks(extra_fields=True),
    "missing meta": Quirks(missing_meta=True),
    "null lists": Quirks(null_lists=True),
    "ids as text": Quirks(string_ids=True),
    "totals as text": Quirks(total_pages_as_text=True),
    "small pages": Quirks(page_size_cap=7),
    "small pages without meta": Quirks(page_size_cap=7, missing_meta=True),
}


@pytest.mark.parametrize("name", QUIRKS)
def test_however_the_server_deviates_the_same_tables_come_out(name: str, serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    subscription_added(world, 0)
    linq = serve(world, quirks=QUIRKS[name])
    warehouse.sync(linq)
    chats = [row["id"] for row in world.listed()["chats"]]
    new_message(world, chats[0])
    late_message(world, chats[1])
    message_in_the_second_of_the_cursor(world, chats[2])
    deleted_first_message(world, chats[3])
    deleted_last_message(world, chats[4])
    contact_gone(world, 0)
    contact_changed(world, 0)
    assert warehouse.sync(linq).exit_code == 0
    precision = "milliseconds" if name == "milliseconds" else "seconds"
    assert_mirrors(warehouse, world, precision=precision)


def test_optional_fields_that_are_missing_become_null(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    warehouse.sync(serve(world, quirks=Quirks(missing_fields=("delivered_at", "company", "display_name"))))
    assert {row["delivered_at"] for row in warehouse.rows("messages")} == {None}
    assert {row["company"] for row in warehouse.rows("contacts")} == {None}
    assert len(warehouse.rows("messages")) == 400


@pytest.mark.through_dlt
def test_fields_that_come_later_and_go_again_become_columns_and_stay(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    warehouse.sync(serve(world))
    plain = set(warehouse.rows("messages")[0])
    warehouse.sync(serve(world, quirks=Quirks(extra_fields=True)), full_refresh=True)
    extended = set(warehouse.rows("messages")[0])
    assert extended > plain
    assert_mirrors(warehouse, world)
    assert warehouse.sync(serve(world), full_refresh=True).exit_code == 0
    assert set(warehouse.rows("messages")[0]) == extended
    assert_mirrors(warehouse, world)


@pytest.mark.through_dlt
@pytest.mark.parametrize("table", ["messages", "contacts"])
def test_a_nested_field_that_came_later_keeps_its_column_when_a_row_is_marked_as_gone(
    table: str, serve: Serve, warehouse: Warehouse
) -> None:
    world = small_world(messages=60, contacts=12)
    linq = serve(world, quirks=Quirks(extra_fields=True))
    warehouse.sync(linq)
    columns = set(warehouse.rows(table)[0])
    chat_id = world.listed()["chats"][2]["id"]
    {"messages": deleted_first_message, "contacts": contact_gone}[table](world, chat_id)
    warehouse.sync(linq)
    world.edit(messages_of(world, chat_id)[0]["id"], "Edited")
    contact_changed(world, chat_id)
    before = warehouse.tables(table)[table]
    assert warehouse.sync(linq, recheck_hours=0).exit_code == 0
    after = warehouse.tables(table)[table]
    assert set(after[0]) == columns
    assert len([row for row in after if row not in before]) == 1
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
