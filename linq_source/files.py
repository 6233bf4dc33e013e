"""A dataset of Parquet files: rows are only ever appended to it, and the newest row of each key counts.

    linq_data/messages/1767225600.25.abc.parquet       the rows of one load
    linq_data/_dlt_loads/linq__1767225600.25.jsonl     written last: the load was completed
    linq_data/views.sql                                what an analyst runs in DuckDB

Files of a load that was not completed are never opened, since a copy that was killed leaves half a file.
"""

import json
from pathlib import Path
from typing import Any, Self

import dlt
import duckdb
import pyarrow as pa
from dlt.common.destination.client import DEFAULT_FILE_LAYOUT
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

from linq_source.analytics.views import DIALECT, statements
from linq_source.errors import ConfigurationError
from linq_source.event_tables import ALL_TABLES
from linq_source.memory import Memory
from linq_source.open_tables import MARKS, SETTINGS, parquet_files, scan
from linq_source.sql_text import literal, quoted_name
from linq_source.strategies import keeps_files, strategy_of
from linq_source.tables import TEXT, Departure, Table

VIEWS_FILE = "views.sql"

_HEADER = """\
-- The tables and views of a Linq account, over the Parquet files beside this one. DuckDB 1.3 or newer reads it:
--     duckdb -init views.sql
-- It shows what was loaded until it is run, however many loads follow; to see those, run it again.
-- Written by linq_source, which writes it again when a table comes or this version changes.
"""

_LOADS = """\
create or replace table _dlt_loads as select * from read_json(
    getvariable('linq_dataset') || '/_dlt_loads/*.jsonl', format = 'newline_delimited', ignore_errors = true,
    columns = {
        load_id: 'varchar', schema_name: 'varchar', status: 'bigint', inserted_at: 'timestamptz',
        schema_version_hash: 'varchar'
    }
) where load_id is not null"""

_FILES = """\
set variable linq_files = (
    select coalesce(list(file order by file), []) from glob(getvariable('linq_dataset') || '/*/*.parquet')
    where regexp_extract(file, '([0-9]+\\.[0-9]+)\\.[^/]*$', 1) in (select load_id from _dlt_loads where status = 0)
)"""

_NO_LOADS = "create table _dlt_loads (load_id varchar, schema_name varchar, status bigint, inserted_at timestamptz)"

_NEWEST = """\
(
    select * from read_parquet(
        list_filter(getvariable('linq_files'), lambda file: split_part(file, '/', -2) = '{name}'),
        union_by_name = true
    )
    qualify row_number() over (partition by {key} order by _dlt_load_id desc) = 1
)"""


class FileDataset:
    """The folder of a dataset, in a file system that dlt writes to. Building it asks nothing of it."""

    def __init__(self, client: Any) -> None:
        """`client` is dlt's, of the destination; raises ConfigurationError for a place or layout we cannot read."""
        if client.config.layout != DEFAULT_FILE_LAYOUT:
            raise ConfigurationError(
                "DESTINATION__FILESYSTEM__LAYOUT is set, but rows are told from those of a killed load by dlt's own "
                f"layout only. Remove it, which means {DEFAULT_FILE_LAYOUT}."
            )
        self.name: str = client.dataset_name
        self.formats: dict[str, str | None] = {}
        """The tables that were there when a connection was made, each with its format; None where it is plain."""
        self._client = client
        self._filesystem = client.fs_client
        self._is_local = client.is_local_filesystem
        folder = str(client.dataset_path if self._is_local else client.make_remote_url(client.dataset_path))
        self.folder = folder.rstrip("/")
        if set(self.folder) & set("*?["):
            raise ConfigurationError(
                f"DESTINATION__FILESYSTEM__BUCKET_URL and --dataset make {self.folder}, in which DuckDB would take "
                "*, ? or [ for a pattern: name a folder without them."
            )

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a DuckDB of its own in which each table is a view."""
        connection = duckdb.connect(":memory:")
        filesystem = self._reading()
        if not self._is_local:
            connection.register_filesystem(filesystem)
        has_loads = filesystem.glob(f"{self.folder}/_dlt_loads/*.jsonl")
        for statement in [*self._place(), _LOADS if has_loads else _NO_LOADS, _FILES]:
            connection.execute(statement)
        self.formats = self._present(connection, filesystem)
        for name, table_format in self.formats.items():
            rows = self._rows_now(connection, name, table_format) if table_format else _newest(ALL_TABLES[name])
            connection.execute(_view(ALL_TABLES[name], rows))
        return connection

    def remove_torn_files(self) -> None:
        """Remove what a crash of the machine left half written of dlt's schemas and states: it would fail on them.

        An object store has none, since it takes a file whole or not at all.
        """
        for name in ("_dlt_version", "_dlt_pipeline_state") if self._is_local else ():
            for path in Path(self.folder, name).glob("*.jsonl"):
                try:
                    json.loads(path.read_bytes())
                except ValueError:
                    path.unlink(missing_ok=True)

    def views_are_current(self) -> bool:
        """Whether the file of views is the one that would be written; after a connection was made."""
        try:
            found = self._filesystem.read_text(f"{self.folder}/{VIEWS_FILE}", encoding="utf-8")
        except FileNotFoundError:
            return False
        return bool(found == self._script())

    def write_views(self) -> None:
        """Write the file that shows all tables and views in DuckDB."""
        self.connect().close()
        self._filesystem.write_text(f"{self.folder}/{VIEWS_FILE}", self._script(), encoding="utf-8")

    def _reading(self) -> Any:
        """Return what dlt writes with, such that it asks once for what is there: no extension of DuckDB is needed."""
        how = self._filesystem.storage_options | {"use_listings_cache": True, "skip_instance_cache": True}
        return type(self._filesystem)(*self._filesystem.storage_args, **how)

    def _rows_now(self, connection: duckdb.DuckDBPyConnection, name: str, table_format: str) -> str:
        """Return what reads a table that has a log of its own, as it is now."""
        location = self._client.make_remote_url(self._client.pathlib.join(self._client.dataset_path, name))
        if files := parquet_files(table_format, location, self._client):
            return f"read_parquet([{', '.join(map(literal, files))}], union_by_name = true)"
        nothing = ALL_TABLES[name].schema.append(pa.field("_dlt_load_id", TEXT)).empty_table()
        connection.register(f"no {name}", nothing)
        return f'temp."no {name}"'

    def _place(self) -> list[str]:
        name = quoted_name(self.name)
        return [
            f"create schema if not exists {name}",
            f"use {name}",
            f"set variable linq_dataset = {literal(self.folder)}",
            "set parquet_metadata_cache = true",
        ]

    def _present(self, connection: duckdb.DuckDBPyConnection, filesystem: Any) -> dict[str, str | None]:
        """Return the tables of which a completed load has left a file, or that have a log of their own."""
        files: Any = connection.execute("select getvariable('linq_files')").fetchone()
        found: dict[str, str | None] = {file.rsplit("/", 2)[1]: None for file in files[0]}
        for table_format, mark in MARKS.items():
            found |= {path.rsplit("/", 3)[1]: table_format for path in filesystem.glob(f"{self.folder}/*/{mark}")}
        return {name: found[name] for name in ALL_TABLES if name in found}

    def _script(self) -> str:
        tables = [
            _view(ALL_TABLES[name], scan(table_format, name) if table_format else _newest(ALL_TABLES[name]))
            for name, table_format in self.formats.items()
        ]
        settings = [SETTINGS[each] for each in sorted(set(map(str, self.formats.values()))) if each in SETTINGS]
        views = statements({"_dlt_loads", *self.formats}, self.name, DIALECT)
        parts = [*self._place(), *settings, _LOADS, _FILES, *tables, *views]
        return _HEADER + "".join(f"{each};\n" for each in parts)


class FileMemory(Memory):
    """The memory of a dataset of files: the views that show it are in a file of it."""

    def __init__(self, dataset: FileDataset, *how: Any) -> None:
        super().__init__(lambda: _Client(dataset), *how)
        self._dataset = dataset
        self._written: tuple[str | None, ...] = ()

    def __enter__(self) -> Self:
        entered = super().__enter__()
        for table_format in self._written:
            if others := set(self._dataset.formats.values()) - {table_format}:
                raise ConfigurationError(
                    f"The tables in {self._dataset.folder} are kept {_spoken(others.pop())}, and were to be written "
                    f"{_spoken(table_format)}: set --table-format to what they are, or name another --dataset."
                )
        return entered

    def will_be_written(self, table_format: str | None) -> None:
        """Have ConfigurationError raised, when it is entered, where the tables are kept in another format."""
        self._written = (table_format,)

    def has_current_views(self) -> bool:
        """Whether the file of views is the one that this version writes."""
        return self._dataset.views_are_current()


class _Client(DuckDbSqlClient):
    """dlt's SQL client, on the connection of a dataset of files."""

    def __init__(self, dataset: FileDataset) -> None:
        super().__init__(dataset.name, "", DuckDbCredentials(), dlt.destinations.duckdb().capabilities())
        self._dataset = dataset

    def open_connection(self) -> duckdb.DuckDBPyConnection:
        self._conn = self._dataset.connect()
        return self._conn

    def close_connection(self) -> None:
        if self._conn:
            self._conn.close()
            self._conn = None  # type: ignore[assignment]  # as dlt's own do


def files_of(pipeline: dlt.Pipeline) -> FileDataset | None:
    """Return the dataset of a pipeline if it is a folder of files, else None."""
    if strategy_of(pipeline.destination) == "delete-insert" or not keeps_files(pipeline.destination):
        return None
    return FileDataset(pipeline.destination_client())


def _newest(table: Table) -> str:
    return _NEWEST.format(name=table.name, key=", ".join(table.key))


def _view(table: Table, rows: str) -> str:
    """Return the statement that shows a table: `rows`, but for those that tell of a removal."""
    condition = " where is_removed is not true" if table.departure is Departure.REMOVED else ""
    return f'create or replace view "{table.name}" as select * from {rows}{condition}'


def _spoken(table_format: str | None) -> str:
    return f"as {table_format} tables" if table_format else "as plain Parquet"
