"""Whole tables: all that a database file holds, and how it must compare with what Linq lists."""

from typing import Any

import duckdb

from linq_source.simulator import World
from linq_source.tables import TABLES
from tests.support import Warehouse

Rows = dict[str, list[dict[str, Any]]]


def snapshot(warehouse: Warehouse) -> Rows:
    """Every row of every table of ours; a table or a file that does not exist holds none."""
    rows: Rows = {name: [] for name in TABLES}
    if not warehouse.path.exists():
        return rows
    with duckdb.connect(str(warehouse.path), read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        found = connection.execute(
            "select table_name from duckdb_tables() where schema_name = 'linq_data'"
        ).fetchall()
        for (name,) in found:
            if name in rows:
                rows[name] = connection.sql(f"select * from linq_data.{name}").to_arrow_table().to_pylist()
    return rows


def assert_equal(stored: Rows, listed: Rows) -> None:
    """The live rows are exactly those listed, in every column that Linq has."""
    for table, wanted in listed.items():
        live = [row for row in stored[table] if row.get("deleted_at") is None]
        assert len(live) == len(wanted), f"{table}: {len(live)} rows, not {len(wanted)}"
        assert by_key(table, live) == by_key(table, wanted), table


def check_rows(before: Rows, after: Rows, listed: Rows) -> None:
    """Each row is as it was or as Linq has it; none is gone or marked that Linq still lists."""
    for table, wanted in listed.items():
        old, new = by_key(table, before[table]), by_key(table, after[table])
        true = by_key(table, wanted)
        assert len(new) == len(after[table]), f"{table}: a key comes twice"
        for key, row in new.items():
            assert row in (old.get(key), true.get(key)), f"{table} {key}: neither the old row nor the new one"
        assert not {key for key in old.keys() - new.keys() if key in true}, f"{table}: rows are gone"
        marked = {_key(table, row) for row in after[table] if row.get("deleted_at")}
        assert not marked & true.keys(), f"{table}: rows are marked as deleted that Linq lists"


def assert_complete_chats_are_kept(warehouse: Warehouse, world: World) -> int:
    """Every chat that has a cursor has all of its messages, and no row is wrong; returns how many chats."""
    rows, listed = snapshot(warehouse), world.listed()
    check_rows({name: [] for name in rows}, rows, listed)
    done = {row["chat_id"] for row in rows["chat_syncs"] if row["listing_hash"]}
    for table in (rows, listed):
        table["messages"] = [row for row in table["messages"] if row["chat_id"] in done]
    assert by_key("messages", rows["messages"]) == by_key("messages", listed["messages"])
    return len(done)


def by_key(table: str, rows: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    columns = [column.name for column in TABLES[table].columns if column.name not in ("deleted_at", "is_removed")]
    return {_key(table, row): {name: _value(row[name]) for name in columns} for row in rows}


def _value(value: Any) -> Any:
    return str(value).replace("'", '"').replace(" ", "") if isinstance(value, list) else value


def _key(table: str, row: dict[str, Any]) -> Any:
    return tuple(row[name] for name in TABLES[table].key)
