"""A dataset of Parquet files: rows are only ever appended to it, and the newest row of each key counts.

    linq_data/messages/1767225600.25.abc.parquet       the rows of one load
    linq_data/_dlt_loads/linq__1767225600.25.jsonl     written last: the load was completed
    linq_data/views.sql                                what an analyst runs in DuckDB

Files of a load that was not completed are never opened, since a copy that was killed leaves half a file.
"""

from collections.abc import Iterable
from typing import Any

import dlt
import duckdb
from dlt.common.destination.client import DEFAULT_FILE_LAYOUT
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

from linq_source.analytics.views import DIALECT, statements
from linq_source.errors import ConfigurationError
from linq_source.event_tables import ALL_TABLES
from linq_source.memory import Memory
from linq_source.strategies import strategy_of
from linq_source.tables import Departure, Table

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

_LATEST = """\
create or replace view "{name}" as select * from (
    select * from read_parquet(
        list_filter(getvariable('linq_files'), lambda file: contains(file, '/{name}/')), union_by_name = true
    )
    qualify row_number() over (partition by {key} order by _dlt_load_id desc) = 1
){condition}"""


class FileDataset:
    """The folder of a dataset, in a file system that dlt writes to. Building it asks nothing of it."""

    def __init__(self, client: Any) -> None:
        """`client` is dlt's client of the destination; raises ConfigurationError for a layout we cannot read."""
        if client.config.layout != DEFAULT_FILE_LAYOUT:
            raise ConfigurationError(
                "DESTINATION__FILESYSTEM__LAYOUT is set, but rows are told from those of a killed load by dlt's own "
                f"layout only. Remove it, which means {DEFAULT_FILE_LAYOUT}."
            )
        self.name: str = client.dataset_name
        self._filesystem = client.fs_client
        self._is_local = client.is_local_filesystem
        folder = str(client.dataset_path if self._is_local else client.make_remote_url(client.dataset_path))
        self.folder = folder.rstrip("/")

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a DuckDB of its own in which each table that holds a completed load is a view."""
        connection = duckdb.connect(":memory:")
        if not self._is_local:
            connection.register_filesystem(self._reading())
        for statement in self._place():
            connection.execute(statement)
        if self._filesystem.glob(f"{self.folder}/_dlt_loads/*.jsonl"):
            connection.execute(_LOADS)
            connection.execute(_FILES)
            for statement in _latest(self._present(connection)):
                connection.execute(statement)
        return connection

    def views_are_current(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """Whether the file of views is the one that would be written."""
        try:
            found = self._filesystem.read_text(f"{self.folder}/{VIEWS_FILE}", encoding="utf-8")
        except FileNotFoundError:
            return False
        return bool(found == self._script(self._present(connection)))

    def write_views(self) -> None:
        """Write the file that shows all tables and views in DuckDB."""
        with self.connect() as connection:
            script = self._script(self._present(connection))
        self._filesystem.write_text(f"{self.folder}/{VIEWS_FILE}", script, encoding="utf-8")

    def _reading(self) -> Any:
        """Return what dlt writes with, such that it asks once for what is there: no extension of DuckDB is needed."""
        how = self._filesystem.storage_options | {"use_listings_cache": True, "skip_instance_cache": True}
        return type(self._filesystem)(*self._filesystem.storage_args, **how)

    def _place(self) -> list[str]:
        name, folder = self.name.replace('"', '""'), self.folder.replace("'", "''")
        return [
            f'create schema if not exists "{name}"',
            f'use "{name}"',
            f"set variable linq_dataset = '{folder}'",
            "set parquet_metadata_cache = true",
        ]

    def _present(self, connection: duckdb.DuckDBPyConnection) -> list[Table]:
        """Return the tables of which a completed load has left a file."""
        files: Any = connection.execute("select getvariable('linq_files')").fetchone()
        names = {file.rsplit("/", 2)[1] for file in files[0] or []}
        return [table for name, table in ALL_TABLES.items() if name in names]

    def _script(self, present: Iterable[Table]) -> str:
        present = list(present)
        views = statements({"_dlt_loads", *(table.name for table in present)}, self.name, DIALECT)
        return _HEADER + "".join(f"{each};\n" for each in [*self._place(), _LOADS, _FILES, *_latest(present), *views])


class FileMemory(Memory):
    """The memory of a dataset of files: the views that show it are in a file of it."""

    def __init__(self, dataset: FileDataset, *how: Any) -> None:
        super().__init__(lambda: _Client(dataset), *how)
        self._dataset = dataset

    def has_current_views(self) -> bool:
        """Whether the file of views is the one that this version writes."""
        assert self._client, "Memory is read only while it is entered"
        return self._dataset.views_are_current(self._client.native_connection)


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
    """Return the dataset of a pipeline if its rows are appended to files, else None."""
    if strategy_of(pipeline.destination) != "append":
        return None
    return FileDataset(pipeline.destination_client())


def _latest(present: Iterable[Table]) -> list[str]:
    """Return the statements that show of each table the newest row of each key, unless that tells of a removal."""
    return [
        _LATEST.format(
            name=table.name,
            key=", ".join(table.key),
            condition=" where is_removed is not true" if table.departure is Departure.REMOVED else "",
        )
        for table in present
    ]
