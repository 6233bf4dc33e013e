"""However the server deviates, the same tables come out: other times, ids and pages, fields that come and go."""

from collections.abc import Callable

import pytest

from linq_source.simulator import Quirks, Simulator
from tests.changes import (
    contact_changed,
    contact_gone,
    deleted_first_message,
    deleted_last_message,
    late_message,
    message_in_the_second_of_the_cursor,
    messages_of,
    new_message,
    subscription_added,
)
from tests.support import Warehouse, assert_mirrors, small_world

pytestmark = pytest.mark.without_dlt

Serve = Callable[..., Simulator]


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
