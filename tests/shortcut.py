"""A destination without dlt's load: what a sync or a load of events yields is merged into DuckDB at once.

All else is the real thing: the simulator's socket, the client, the reader, the memory, the runner, dlt's own SQL
client and, but for `Shortcut`, the database file. It takes a tenth of dlt's time for a load, and makes no views.
`make test-long-way` runs the same tests through dlt.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

from linq_source import settings
from linq_source.context import Summary
from linq_source.event_tables import EVENT_TABLES
from linq_source.extras import ARROW_TYPES, ExtraColumns
from linq_source.loading import Target, plain
from linq_source.memory import Memory
from linq_source.rows import Batch
from linq_source.runner import run_events
from linq_source.simulator import Simulator
from linq_source.source import make_sync
from linq_source.sync import Sync
from linq_source.tables import BOOLEAN, INTEGER, NUMBER, TABLES, TEXT, Table
from linq_source.times import TIMESTAMP, AnyField
from linq_source.webhook.event_loader import EventLoader, EventSummary
from tests.support import IMPATIENT, TOKEN, Warehouse

ALL_TABLES = {**TABLES, **EVENT_TABLES}

_SQL_TYPES = {INTEGER: "bigint", NUMBER: "double", BOOLEAN: "boolean", TIMESTAMP: "timestamptz", TEXT: "text"}
_DLT_TYPES = {
    "BIGINT": "bigint", "DOUBLE": "double", "BOOLEAN": "bool", "TIMESTAMP WITH TIME ZONE": "timestamp",
    "VARCHAR": "text", "JSON": "json",
}  # fmt: skip


class KilledError(Exception):
    """A commit was killed: some tables were written, and no row says that the load was completed."""


class LongWay:
    """Syncs and loads of events into a DuckDB file, as the commands do them."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    def sync(self, linq: Simulator, **settings: Any) -> Summary:
        """Run one sync."""
        return self.warehouse.sync(linq, **settings).summary

    def load(self, folder: Path) -> EventSummary:
        """Load the events in a folder that are not loaded yet."""
        return run_events(EventLoader(str(folder)), self.warehouse.target()).summary


class Shortcut:
    """The same in memory, merged as dlt's delete-insert does; without the views."""

    def __init__(self) -> None:
        self.warehouse: Warehouse = _InMemory(self)
        self.connection = duckdb.connect(":memory:", config={"threads": 1})
        self.merger = Merger(self.connection)

    def close(self) -> None:
        """Forget all."""
        self.connection.close()

    def sync(self, linq: Simulator, **settings: Any) -> Summary:
        """Run one sync."""
        sync = make_sync(**{"limits": IMPATIENT, "integration_token": TOKEN, "base_url": linq.base_url} | settings)
        try:
            self.merger.load(sync)
        finally:
            sync.close()
        return sync.summary

    def load(self, folder: Path) -> EventSummary:
        """Load the events in a folder that are not loaded yet."""
        events = EventLoader(str(folder))
        self.merger.load(events)
        return events.summary


def load_without_dlt(
    work: Sync | EventLoader, target: Target, folder: Path, loads: list[str], make_source: Callable[[], Any]
) -> None:
    """Take the place of the runner's `load`: the rows are merged into the file of a Warehouse."""
    path = target.destination.config_params["credentials"]["database"]
    try:
        with duckdb.connect(path) as connection:
            Merger(connection).load(work, loads, commit_every=target.commit_every)
    except Exception as error:
        raise plain(error, folder) from error


class Merger:
    """Merges into an open DuckDB, as dlt's delete-insert does."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.dying: random.Random | None = None
        """Draws which tables the next commit still writes before it is killed; None for one that lives."""
        connection.execute(f"set timezone = 'UTC'; create schema if not exists {settings.DATASET_NAME}")
        connection.execute(f"set schema '{settings.DATASET_NAME}'")
        connection.execute(
            "create table if not exists _dlt_loads (load_id varchar not null, schema_name varchar, "
            "status bigint not null, inserted_at timestamptz not null, schema_version_hash varchar)"
        )
        self._columns: dict[str, dict[str, str]] = {}
        stored = "select table_name, column_name, data_type from duckdb_columns() where schema_name = ?"
        for table, column, sql_type in connection.execute(stored, [settings.DATASET_NAME]).fetchall():
            self._columns.setdefault(table, {})[column] = _DLT_TYPES.get(sql_type, sql_type)
        found = connection.execute("select distinct schema_name from _dlt_loads").fetchall()
        self._schemas = {name for (name,) in found}

    def load(self, work: Sync | EventLoader, loads: list[str] | None = None, *, commit_every: int = 100_000) -> None:
        """Load all that a sync or a loader of events yields, in slices."""
        while not work.is_finished:
            # The destination is not written before the last batch of a slice was taken.
            if isinstance(work, Sync):
                slices = work.next_slice(self.memory(), set(TABLES), self._extras(), commit_every=commit_every)
                load_id = self._commit("linq", list(slices))
            else:
                load_id = self._commit("linq_events", list(work.next_slice(self.memory(), set(EVENT_TABLES))))
            if load_id and loads is not None:
                loads.append(load_id)

    def memory(self) -> Memory:
        """What syncs remember."""
        json_columns = {
            table: {name for name, kind in columns.items() if kind == "json"}
            for table, columns in self._columns.items()
        }
        return Memory(lambda: _Client(self.connection), json_columns)

    def _commit(self, schema_name: str, batches: Iterable[Batch]) -> str | None:
        pieces: dict[str, list[pa.Table]] = {}
        for batch in batches:
            for name, rows in batch.items():
                pieces.setdefault(name, []).append(rows)
        # Of a pipeline new to the destination dlt stores the schema, though there be nothing else to load.
        if not pieces and schema_name in self._schemas:
            return None
        self._schemas.add(schema_name)
        load_id = f"{time.time_ns() / 1e9:.7f}"
        names, dying, self.dying = list(pieces), self.dying, None
        if dying:
            names = dying.sample(names, dying.randint(0, len(names)))
        for name in names:
            rows = pa.concat_tables(pieces[name], promote_options="default")
            load_ids = pa.array([load_id] * rows.num_rows, type=TEXT)
            self._merge(ALL_TABLES[name], rows.append_column("_dlt_load_id", load_ids))
        if dying:
            raise KilledError
        row = [load_id, schema_name, datetime.now(UTC)]
        self.connection.execute("insert into _dlt_loads values (?, ?, 0, ?, null)", row)
        return load_id

    def _merge(self, table: Table, rows: pa.Table) -> None:
        self._widen(table, rows.schema)
        if not rows.num_rows:
            return
        rows = _once(table, rows)
        self.connection.register("batch", rows)
        same = " and ".join(f'stored."{name}" = batch."{name}"' for name in table.key)
        self.connection.begin()
        self.connection.execute(f"delete from {table.name} stored using batch where {same}")
        kept = " where is_removed is not true" if "is_removed" in rows.schema.names else ""
        self.connection.execute(f"insert into {table.name} by name select * from batch{kept}")
        self.connection.commit()
        self.connection.unregister("batch")

    def _widen(self, table: Table, schema: pa.Schema) -> None:
        """Create the table, and the columns that it lacks."""
        if table.name not in self._columns:
            fields = [*table.schema, schema.field("_dlt_load_id")]
            self._columns[table.name] = {field.name: _dlt_type(field) for field in fields}
            columns = ", ".join(f'"{field.name}" {_sql_type(field)}' for field in fields)
            self.connection.execute(f"create table {table.name} ({columns})")
        known = self._columns[table.name]
        for field in schema:
            is_new = field.name not in known
            # The type that the last load gave is the one that dlt remembers, though the column stays as it is.
            known[field.name] = _dlt_type(field)
            if is_new:
                self.connection.execute(f'alter table {table.name} add column "{field.name}" {_sql_type(field)}')

    def _extras(self) -> ExtraColumns:
        own = {table.name: {*table.schema.names, "_dlt_load_id"} for table in TABLES.values()}
        return ExtraColumns(
            {
                name: {column: kind for column, kind in columns.items() if column not in own[name]}
                for name, columns in self._columns.items()
                if name in TABLES
            }
        )


class _InMemory(Warehouse):
    """What the tests read the tables with."""

    def __init__(self, shortcut: Shortcut) -> None:
        super().__init__(Path(":memory:"))
        self._shortcut = shortcut

    @contextmanager
    def opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        yield self._shortcut.connection


class _Client(DuckDbSqlClient):
    """dlt's client on a connection that stays open."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__(settings.DATASET_NAME, "", DuckDbCredentials(), _capabilities())
        self._own = connection

    def open_connection(self) -> duckdb.DuckDBPyConnection:
        self._conn = self._own
        return self._own

    def close_connection(self) -> None:
        self._conn = None


@cache
def _capabilities() -> Any:
    return dlt.destinations.duckdb().capabilities()


def _once(table: Table, rows: pa.Table) -> pa.Table:
    """Return each key once. Of two rows of one key in one load dlt keeps any, so they had better be the same."""
    keys = list(zip(*(rows[name].to_pylist() for name in table.key), strict=True))
    if len(first := {key: index for index, key in reversed(list(enumerate(keys)))}) == len(keys):
        return rows
    found = rows.to_pylist()
    for key, row in zip(keys, found, strict=True):
        assert row == found[first[key]], f"{table.name} {key}: one load holds two different rows of it"
    return rows.take(pa.array(sorted(first.values())))


def _is_json(field: AnyField) -> bool:
    return bool((field.metadata or {}).get(b"json"))


def _sql_type(field: AnyField) -> str:
    return "json" if _is_json(field) else _SQL_TYPES[field.type]


def _dlt_type(field: AnyField) -> str:
    return "json" if _is_json(field) else next(name for name, kind in ARROW_TYPES.items() if kind == field.type)
