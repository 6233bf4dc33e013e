"""The main job, end to end: a Linq account into DuckDB over a real socket, again and again."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from linq_source.simulator import Simulator, World
from linq_source.tables import TABLES
from tests.support import OLD, Warehouse, assert_mirrors, small_world

Serve = Callable[..., Simulator]
Known = Callable[..., tuple[World, Simulator]]


def listing_requests(world: World) -> int:
    """Requests of an idle sync: numbers, chats of each number, contacts, subscriptions."""
    rows = world.listed()
    under = Counter(row["phone_number"] for row in rows["chat_phone_numbers"])
    pages = sum(max(1, -(-under[row["phone_number"]] // 100)) for row in rows["phone_numbers"])
    return 1 + pages + max(1, -(-len(rows["contacts"]) // 100)) + 1


@pytest.fixture(scope="module")
def big_world() -> World:
    return World.make(seed=1, phone_numbers=3, chats=90, messages=11_700, end=OLD)


def test_three_syncs_read_everything_then_nothing_then_only_what_changed(
    big_world: World, serve: Serve, warehouse: Warehouse
) -> None:
    world, linq = big_world, serve(big_world)
    first = warehouse.sync(linq)
    assert first.exit_code == 0
    assert_mirrors(warehouse, world)
    per_chat = Counter(row["chat_id"] for row in world.listed()["messages"])
    assert first.requests == listing_requests(world) + sum(-(-count // 100) for count in per_chat.values())

    before = warehouse.everything()
    idle = warehouse.sync(linq)
    assert (idle.exit_code, idle.requests, idle.summary.rows) == (0, listing_requests(world), {})
    assert warehouse.everything() == before

    people = [chat["id"] for chat in world.listed()["chats"]][:5]
    for chat_id in people:
        world.receive(chat_id, "Any news?")
    new_chat = world.add_chat(["+12125550199"])
    world.receive(new_chat.id, "Hello there")
    contacts = world.listed()["contacts"]
    world.update_contact(contacts[0]["id"], title="Director")
    world.delete_contact(contacts[1]["id"])
    linq.clear_requests()
    third = warehouse.sync(linq)
    assert third.exit_code == 0
    assert_mirrors(warehouse, world)
    read = {request.path.split("/")[5] for request in linq.requests if request.path.endswith("/chat_messages")}
    assert read == {str(chat_id) for chat_id in [*people, new_chat.id]}
    assert third.requests == listing_requests(world) + 6
    assert third.summary.rows["messages"] == 6
    assert third.summary.rows["contacts"] == 2


def test_an_empty_account_has_every_table_and_no_row(serve: Serve, warehouse: Warehouse) -> None:
    linq = serve(World.empty(phone_numbers=0))
    assert warehouse.sync(linq).exit_code == 0
    tables = {
        name for (name,) in warehouse.query("select table_name from duckdb_tables()") if not name.startswith("_dlt")
    }
    assert len(tables) == 12
    assert all(warehouse.rows(name) == [] for name in tables)


def test_a_chat_listed_under_two_numbers_is_stored_once_and_read_once(serve: Serve, warehouse: Warehouse) -> None:
    world = World.empty(phone_numbers=2)
    ours = [number.phone_number for number in world.listed_numbers()]
    chat = world.add_chat(["+12125550199"], ours=ours)
    world.receive(chat.id, "Hello both", sent_at=OLD)
    linq = serve(world)
    warehouse.sync(linq)
    assert len(warehouse.rows("chats")) == 1
    assert {row["phone_number"] for row in warehouse.rows("chat_phone_numbers")} == set(ours)
    assert linq.count(".*chat_messages$") == 1


def test_direction_is_outbound_when_one_of_our_numbers_sent(serve: Serve, warehouse: Warehouse) -> None:
    world = World.empty()
    chat = world.add_chat(["+12125550199"])
    received = world.receive(chat.id, "Hi", sent_at=OLD)
    sent = world.send(chat.id, "Hello", sent_at=OLD)
    warehouse.sync(serve(world))
    directions = {row["id"]: row["direction"] for row in warehouse.rows("messages")}
    assert directions == {received.id: "inbound", sent.id: "outbound"}


def test_a_number_that_was_ours_still_sent_outbound(serve: Serve, warehouse: Warehouse) -> None:
    world = World.empty(phone_numbers=2)
    ours = [number.phone_number for number in world.listed_numbers()]
    chat = world.add_chat(["+12125550199"], ours=ours)
    world.send(chat.id, "Hello", sent_at=OLD, sent_from=ours[1])
    linq = serve(world)
    warehouse.sync(linq)
    world.release_number(ours[1])
    assert warehouse.sync(linq, recheck_hours=0).exit_code == 0
    assert [row["direction"] for row in warehouse.rows("messages")] == ["outbound"]


def test_only_the_chats_of_the_numbers_asked_for_are_read(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    number = world.listed_numbers()[0].phone_number
    warehouse.sync(serve(world), phone_numbers=[number])
    wanted = {row["chat_id"] for row in world.listed()["chat_phone_numbers"] if row["phone_number"] == number}
    assert {row["id"] for row in warehouse.rows("chats")} == wanted
    assert {row["chat_id"] for row in warehouse.rows("messages")} <= wanted


def test_restricting_to_one_number_later_deletes_nothing_of_the_others(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    linq = serve(world)
    warehouse.sync(linq)
    before = warehouse.everything()
    warehouse.sync(linq, phone_numbers=[world.listed_numbers()[0].phone_number])
    assert warehouse.everything() == before


def test_start_date_limits_what_is_read_and_an_earlier_one_reads_the_rest(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    linq = serve(world)
    times = sorted(row["sent_at"] for row in world.listed()["messages"])
    middle = times[len(times) // 2]
    warehouse.sync(linq, start_date=middle.isoformat())
    found = {row["id"] for row in warehouse.rows("messages")}
    expected = {row["id"] for row in world.listed()["messages"] if row["sent_at"] >= middle}
    assert found >= expected
    assert all(row["sent_at"] >= middle.replace(microsecond=0) for row in warehouse.rows("messages"))
    linq.clear_requests()
    warehouse.sync(linq, start_date=middle.isoformat())
    assert linq.count(".*chat_messages") == 0, "the same start date again finds nothing to read"
    warehouse.sync(linq)
    assert_mirrors(warehouse, world)


def test_a_start_date_holds_also_where_a_count_does_not_add_up(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world(messages=200)
    linq = serve(world)
    times = sorted(row["sent_at"] for row in world.listed()["messages"])
    middle = times[len(times) // 2].replace(microsecond=0)
    warehouse.sync(linq, start_date=middle.isoformat())
    # Long before the newest, so that the next sync sees by the count alone that it is gone.
    gone = next(row for row in world.listed()["messages"] if row["sent_at"] >= middle + timedelta(days=1))["id"]
    world.delete_message(gone)
    assert warehouse.sync(linq, start_date=middle.isoformat()).exit_code == 0
    wanted = {row["id"] for row in world.listed()["messages"] if row["sent_at"] >= middle}
    assert {row["id"] for row in warehouse.live("messages")} == wanted


def test_end_date_leaves_newer_messages_to_a_later_sync(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    linq = serve(world)
    times = sorted(row["sent_at"] for row in world.listed()["messages"])
    middle = times[len(times) // 2]
    warehouse.sync(linq, end_date=middle.isoformat())
    assert all(row["sent_at"] < middle for row in warehouse.rows("messages"))
    warehouse.sync(linq)
    assert_mirrors(warehouse, world)


def test_a_chat_with_recent_messages_is_read_at_every_sync(serve: Serve, warehouse: Warehouse) -> None:
    world = World.empty()
    chat = world.add_chat(["+12125550199"])
    message = world.send(chat.id, "On my way")
    linq = serve(world)
    warehouse.sync(linq)
    world.deliver(message.id)
    world.react(message.id, "like", from_phone="+12125550199")
    result = warehouse.sync(linq)
    assert dict(result.summary.reasons) == {"recent": 1}
    assert_mirrors(warehouse, world)
    before = warehouse.everything()
    warehouse.sync(linq)
    assert warehouse.everything() == before, "read again, but nothing changed and nothing was written"


def test_every_chat_is_read_whole_when_its_recheck_is_due(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    linq = serve(world)
    warehouse.sync(linq)
    message = world.listed()["messages"][3]
    world.edit(message["id"], "Changed long after", edited_at=OLD)
    assert warehouse.sync(linq).summary.chats_read == 0, "nothing tells of an edit of an old message"
    warehouse.execute("update chat_syncs set read_whole_at = read_whole_at - interval 25 hour")
    result = warehouse.sync(linq)
    assert dict(result.summary.reasons) == {"due for a recheck": 12}
    assert_mirrors(warehouse, world)
    assert warehouse.sync(linq).summary.chats_read == 0


def test_contacts_are_listed_only_when_contacts_hours_have_passed(serve: Serve, warehouse: Warehouse) -> None:
    linq = serve(small_world())
    warehouse.sync(linq, contacts_hours=6)
    warehouse.sync(linq, contacts_hours=6)
    assert linq.count(".*/contacts$") == 1
    warehouse.execute("update list_syncs set synced_at = synced_at - interval 7 hour")
    warehouse.sync(linq, contacts_hours=6)
    assert linq.count(".*/contacts$") == 2


def test_a_full_refresh_reads_all_and_writes_nothing_that_is_equal(serve: Serve, warehouse: Warehouse) -> None:
    world = small_world()
    linq = serve(world)
    warehouse.sync(linq)
    result = warehouse.sync(linq, full_refresh=True)
    assert result.summary.chats_read == 12
    assert result.summary.rows["messages"] == 0


@pytest.mark.parametrize("wanted", [{"messages"}, {"contacts"}, {"chats", "chat_handles"}])
def test_resources_can_be_selected_in_a_pipeline_of_ones_own(
    wanted: set[str], serve: Serve, warehouse: Warehouse, tmp_path: Any
) -> None:
    import dlt

    from linq_source import linq_source

    world = small_world()
    linq = serve(world)
    for _ in range(2):
        pipeline = dlt.pipeline(
            "mine",
            destination=dlt.destinations.duckdb(str(warehouse.path)),
            dataset_name="linq_data",
            pipelines_dir=str(tmp_path),
        )
        source = linq_source(integration_token="demo-token", base_url=linq.base_url)
        pipeline.run(source.with_resources(*wanted))
    tables = {
        name for (name,) in warehouse.query("select table_name from duckdb_tables()") if not name.startswith("_dlt")
    }
    assert tables == wanted
    for name in wanted:
        assert len(warehouse.rows(name)) == len(world.listed()[name])


def test_a_plain_pipeline_run_mirrors_everything(serve: Serve, warehouse: Warehouse, tmp_path: Any) -> None:
    import dlt

    from linq_source import linq_source

    world = small_world()
    linq = serve(world)
    for _ in range(2):
        pipeline = dlt.pipeline(
            "mine",
            destination=dlt.destinations.duckdb(str(warehouse.path)),
            dataset_name="linq_data",
            pipelines_dir=str(tmp_path),
        )
        info = pipeline.run(linq_source(integration_token="demo-token", base_url=linq.base_url))
        assert_mirrors(warehouse, world)
    assert not info.loads_ids, "the second run had nothing to load"


def test_tables_and_columns_tell_what_they_hold(known: Known, warehouse: Warehouse) -> None:
    known()
    where = "where schema_name = 'linq_data' and table_name not like '\\_dlt%' escape '\\' and not internal"
    tables = dict(warehouse.query(f"select table_name, comment from duckdb_tables() {where}"))
    assert tables == {name: table.description for name, table in TABLES.items()}
    where += (
        " and table_name in (select table_name from duckdb_tables()) and column_name not like '\\_dlt%' escape '\\'"
    )
    columns = warehouse.query(f"select table_name, column_name, comment from duckdb_columns() {where}")
    described = {(table.name, each.name): each.description for table in TABLES.values() for each in table.columns}
    assert {(table, column): text for table, column, text in columns} == described
