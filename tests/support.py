"""Helpers of the tests: syncs into a DuckDB file, and what its tables hold."""

import dataclasses
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

import duckdb

from linq_source.limits import Limits
from linq_source.runner import Result, Target, run_sync
from linq_source.simulator import Simulator, World
from linq_source.source import make_sync
from linq_source.warehouse import database_target
from tests.warm import ROOT as ROOT
from tests.warm import running

Finished: TypeAlias = "subprocess.CompletedProcess[str]"

Precision = Literal["seconds", "milliseconds"]

TOKEN = "demo-token"
IMPATIENT = Limits(backoff_seconds=0.001, max_backoff_seconds=0.01, read_seconds=10, request_seconds=10, attempts=4)
"""Limits under which faults are met in milliseconds."""

OLD = datetime(2026, 3, 1, tzinfo=UTC)
"""The end of worlds whose messages are all older than lookback_days."""

MARKED = ("phone_numbers", "chats", "messages", "contacts")
"""Tables whose departed rows stay, with `deleted_at`."""


def small_world(**sizes: Any) -> World:
    """A world that a test can sync in a fraction of a second."""
    return World.make(**{"seed": 5, "phone_numbers": 2, "chats": 12, "messages": 400, "end": OLD} | sizes)


def tiny_world(**sizes: Any) -> World:
    """A small world with fewer messages and contacts still."""
    return small_world(**{"messages": 60, "contacts": 12} | sizes)


class Warehouse:
    """A DuckDB file that syncs are run into."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def target(self, **options: Any) -> Target:
        """Where run_sync writes."""
        return dataclasses.replace(database_target(self.path), **options)

    def sync(self, linq: Simulator, *, target: dict[str, Any] | None = None, **settings: Any) -> Result:
        """Run one sync as the command does."""
        settings = {"limits": IMPATIENT, "integration_token": TOKEN, "base_url": linq.base_url} | settings
        return run_sync(make_sync(**settings), self.target(**(target or {})))

    def command(self, linq: Simulator | None, *options: str, **environment: str) -> Finished:
        """Run the real command in a process of its own."""
        return run_pipeline("linq_to_duckdb.py", "--database", str(self.path), *options, linq=linq, **environment)

    @contextmanager
    def opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that reads; to open one takes longer than most queries here."""
        with duckdb.connect(str(self.path), read_only=True) as connection:
            connection.execute("set schema 'linq_data'; set timezone = 'UTC'")
            yield connection

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query; the schema of the tables is the current one."""
        with self.opened() as connection:
            return connection.execute(sql).fetchall()

    def execute(self, sql: str) -> None:
        """Change the database by hand."""
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("set schema 'linq_data'; set timezone = 'UTC'")
            connection.execute(sql)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table."""
        return self.tables(table)[table]

    def tables(self, *names: str) -> dict[str, list[dict[str, Any]]]:
        """All rows of some tables."""
        with self.opened() as connection:
            return {name: connection.table(name).to_arrow_table().to_pylist() for name in names}

    def live(self, table: str) -> list[dict[str, Any]]:
        """The rows that mirror what Linq lists."""
        return live(self.rows(table))

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table, dlt's own included: equal before and after means that nothing was written."""
        with self.opened() as connection:
            stored = "select table_name from duckdb_tables() where schema_name = 'linq_data'"
            names = [name for (name,) in connection.execute(stored).fetchall()]
            return {name: sorted(connection.table(name).fetchall(), key=repr) for name in names}


def live(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that are not marked as gone."""
    return [row for row in rows if row.get("deleted_at") is None]


def run_pipeline(script: str, *options: str, linq: Simulator | None = None, **environment: str) -> Finished:
    """Run one of the commands in pipelines/ in a process of its own."""
    env = dict(os.environ) | {"PYTHONWARNINGS": "default", "COLUMNS": "200"}
    if linq:
        env |= {"SOURCES__LINQ__INTEGRATION_TOKEN": TOKEN, "SOURCES__LINQ__BASE_URL": linq.base_url}
    with running(script, options, env | environment) as process:
        output, errors = process.communicate(timeout=120)
    return subprocess.CompletedProcess([script, *options], process.returncode or 0, output, errors)


def assert_mirrors(warehouse: Warehouse, world: World, *, precision: Precision = "seconds") -> None:
    """Every column of every live row equals what Linq would list now, and nothing else is live."""
    listed = world.listed(precision)
    stored_tables = warehouse.tables(*listed)
    for table, expected in listed.items():
        found = _listed(stored_tables, table)
        wanted = {_key(table, row): row for row in expected}
        columns = list(expected[0]) if expected else []
        stored = {_key(table, row): {name: row.get(name) for name in columns} for row in found}
        assert len(found) == len(stored), f"{table}: a key comes twice"
        assert stored.keys() == wanted.keys(), _difference(table, stored.keys(), wanted.keys())
        for key, row in wanted.items():
            assert stored[key] == _comparable(row), f"{table} {key}"
    for table, column in (("message_reactions", "chat_message_id"), ("message_attachments", "message_id")):
        orphans = {row[column] for row in stored_tables[table]} - {row["id"] for row in stored_tables["messages"]}
        assert not orphans, f"{table} of messages that have no row: {sorted(orphans)[:5]}"


def _listed(stored: dict[str, list[dict[str, Any]]], table: str) -> list[dict[str, Any]]:
    """Live rows of a table, without the messages of chats that are gone, which a sync leaves as they are."""
    found = live(stored[table])
    if table not in PARENTS:
        return found
    column, parent = PARENTS[table]
    parents = {row["id"] for row in _listed(stored, parent)}
    return [row for row in found if row[column] in parents]


PARENTS = {
    "messages": ("chat_id", "chats"),
    "message_reactions": ("chat_message_id", "messages"),
    "message_attachments": ("message_id", "messages"),
}


def _comparable(row: dict[str, Any]) -> dict[str, Any]:
    import json

    return {
        name: json.dumps(value, separators=(",", ":")) if isinstance(value, list) else value
        for name, value in row.items()
    }


def _key(table: str, row: dict[str, Any]) -> Any:
    return (row["chat_id"], row["phone_number"]) if table == "chat_phone_numbers" else row["id"]


def _difference(table: str, stored: Any, wanted: Any) -> str:
    return f"{table}: missing {sorted(wanted - stored)[:5]}, too many {sorted(stored - wanted)[:5]}"


def chats_asked_for(linq: Simulator) -> int:
    """Of how many chats messages were asked for."""
    return len({request.path for request in linq.requests if request.path.endswith("/chat_messages")})


def with_limits(**changes: Any) -> Limits:
    """IMPATIENT with some limits changed."""
    return dataclasses.replace(IMPATIENT, **changes)
