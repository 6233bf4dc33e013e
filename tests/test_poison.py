"""Values that do not belong where they stand: each is mended, or its row set aside, and the good rows load."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from linq_source.simulator import World
from tests.poison import POISONS, Poison, PoisonedSimulator
from tests.support import OLD, Warehouse, assert_mirrors, tiny_world
from tests.tables import Rows, assert_equal, snapshot

pytestmark = pytest.mark.without_dlt

Poisoned = Callable[[World], PoisonedSimulator]
Assigned = dict[tuple[str, Any], Poison]

CHILDREN = {"message_reactions": "chat_message_id", "message_attachments": "message_id"}


def large_world() -> World:
    world = World.make(seed=2, phone_numbers=4, chats=120, messages=8_600, contacts=300, end=OLD)
    for number in range(4):
        world.add_webhook_subscription(f"https://example.com/{number}", ["message.sent"])
    return world


def assign(world: World) -> Assigned:
    """Give each poison a row of its own, far from the others: no two meet in one message or chat."""
    listed = world.listed()
    sizes = Counter(row["chat_id"] for row in listed["messages"])
    parents = {row["id"]: row["chat_id"] for row in listed["messages"]}
    small = [row["id"] for row in sorted(listed["chats"], key=lambda row: sizes[row["id"]])]
    spoilt_chats = set(small[: sum(poison.table == "chats" for poison in POISONS)])
    free = {
        "chats": small,
        "chat_handles": [row["id"] for row in listed["chat_handles"] if row["chat_id"] not in spoilt_chats],
        "messages": [row["id"] for row in listed["messages"] if row["chat_id"] not in spoilt_chats],
    }
    for table, parent in CHILDREN.items():
        free[table] = [row["id"] for row in listed[table] if parents[row[parent]] not in spoilt_chats]
    owners = {row["id"]: row[parent] for table, parent in CHILDREN.items() for row in listed[table]}
    assigned: Assigned = {}
    taken: set[int] = set()
    for poison in POISONS:
        table = poison.table
        ids = free.get(table) or [row["id"] for row in listed[table]]
        step = {"messages": 150, "message_reactions": 60, "message_attachments": 60, "contacts": 20}.get(table, 1)
        found = next(one for one in ids[::step] if (table, one) not in assigned and owners.get(one, one) not in taken)
        assigned[table, found] = poison
        if table == "messages" or table in CHILDREN:
            taken.add(owners.get(found, found))
    return assigned


def expected(world: World, assigned: Assigned) -> Rows:
    """What the tables must hold: all that Linq lists, less the rejected rows, with the mended values."""
    rows = world.listed()
    for (table, row_id), poison in assigned.items():
        for row in rows[table]:
            if row["id"] == row_id:
                row |= poison.stored
        if not poison.reason:
            continue
        for lost in [poison.rejected_in or table, *_lost_with(table, poison)]:
            key = {"chat_phone_numbers": "chat_id", "chat_handles": "chat_id", "messages": "chat_id"} | CHILDREN
            column = "id" if lost == table else key[lost]
            rows[lost] = [row for row in rows[lost] if row[column] != row_id]
    messages = {row["id"] for row in rows["messages"]}
    for table, parent in CHILDREN.items():
        rows[table] = [row for row in rows[table] if row[parent] in messages]
    return rows


def _lost_with(table: str, poison: Poison) -> list[str]:
    if table == "chats" and not poison.rejected_in:
        has_id = not poison.instead and "id" not in poison.fields
        return ["chat_phone_numbers", "chat_handles", *([] if has_id else ["messages"])]
    return []


def reasons(rows: Rows) -> list[tuple[str, str]]:
    return sorted((row["table_name"], row["reason"]) for row in rows["rejected_rows"])


@pytest.mark.through_dlt
def test_each_kind_of_poison_is_mended_or_set_aside_and_the_good_rows_load(
    poisoned: Poisoned, warehouse: Warehouse
) -> None:
    world = large_world()
    assert sum(map(len, world.listed().values())) >= 10_000
    assert len(POISONS) >= 40
    assigned = assign(world)
    linq = poisoned(world)
    linq.poisoned = dict(assigned)

    result = warehouse.sync(linq)
    stored = snapshot(warehouse)
    bad = [poison for poison in POISONS if poison.reason]
    assert (result.exit_code, result.summary.rejected, result.summary.failure) == (3, len(bad), None)
    assert result.summary.unread_times == sum(poison.unread_times for poison in POISONS)
    assert_equal(stored, expected(world, assigned))
    for (table, reason), poison in zip(
        reasons(stored), sorted(bad, key=lambda one: (one.rejected_in or one.table, one.reason)), strict=True
    ):
        assert (table, reason[: len(poison.reason)]) == (poison.rejected_in or poison.table, poison.reason)

    before = warehouse.everything()
    linq.clear_requests()
    again = warehouse.sync(linq)
    assert (again.exit_code, again.summary.rows) == (3, {})
    assert warehouse.everything() == before, "met again, and not stored again"
    assert linq.count("/chat_messages$") == 0, "no chat is read again because of what it holds"

    linq.heal()
    healed = warehouse.sync(linq, recheck_hours=0)
    assert (healed.exit_code, healed.summary.rejected) == (0, 0)
    assert_mirrors(warehouse, world)
    assert warehouse.rows("rejected_rows") == []
    before = warehouse.everything()
    assert warehouse.sync(linq).summary.rows == {}
    assert warehouse.everything() == before


def test_an_id_written_in_another_way_is_the_same_row(poisoned: Poisoned, warehouse: Warehouse) -> None:
    world = tiny_world()
    linq = poisoned(world)
    rows = world.listed()
    for table in ("messages", "chats", "contacts", "phone_numbers"):
        row_id = rows[table][0]["id"]
        linq.poisoned[table, row_id] = Poison(table, "", {"id": f" 00{row_id} "})
    for _ in range(2):
        result = warehouse.sync(linq, recheck_hours=0)
        assert (result.exit_code, result.summary.rejected) == (0, 0)
        assert_mirrors(warehouse, world)


@pytest.mark.through_dlt
@pytest.mark.parametrize("table", ["messages", "contacts", "chats"])
def test_unknown_fields_of_changing_types_are_stored_and_stop_nothing(
    table: str, poisoned: Poisoned, warehouse: Warehouse
) -> None:
    world = tiny_world()
    linq = poisoned(world)
    values: list[Any] = [1, "high", True, {"level": 1}, [1, "two"], 2**70, 1.5, None, "\ud83d", "a\0", "@500 levels@"]
    ids = [row["id"] for row in world.listed()[table]]
    for turn in range(2):
        for position, row_id in enumerate(ids):
            value = values[(position + turn) % len(values)]
            fields = {"priority": value, "Since At": value, "\ud83d": value, "": value, "deleted_at": value}
            linq.poisoned[table, row_id] = Poison(table, "", fields)
        assert warehouse.sync(linq, recheck_hours=0).exit_code == 0
        assert_mirrors_but_deleted_at(warehouse, world, table)
        before = warehouse.everything()
        if table != "messages":  # messages that are read again whole count as read, with a new time
            warehouse.sync(linq)
            assert warehouse.everything() == before
    linq.heal()
    assert warehouse.sync(linq, recheck_hours=0).exit_code == 0
    assert_mirrors_but_deleted_at(warehouse, world, table)


def assert_mirrors_but_deleted_at(warehouse: Warehouse, world: World, table: str) -> None:
    """The same as assert_mirrors; that `deleted_at` was sent by Linq changes nothing."""
    assert [row for row in warehouse.rows(table) if row["deleted_at"]] == []
    assert_mirrors(warehouse, world)


def test_an_unknown_field_nested_as_deep_as_can_be_read_is_cut_and_stops_nothing(
    poisoned: Poisoned, warehouse: Warehouse
) -> None:
    world = tiny_world()
    linq = poisoned(world)
    row_id = world.listed()["contacts"][0]["id"]
    linq.poisoned["contacts", row_id] = Poison("contacts", "", {"deep": "@1000 levels@"})
    assert warehouse.sync(linq).exit_code == 0
    assert_mirrors(warehouse, world)
    [stored] = [row["deep"] for row in warehouse.rows("contacts") if row["id"] == row_id]
    assert "nested too deep" in stored
