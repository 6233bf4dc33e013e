"""Plain Parquet files in a folder, read as an analyst does: through the file of views beside them."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb

from linq_source.event_tables import ALL_TABLES
from linq_source.files import VIEWS_FILE
from tests.destinations.store import DATASET, Environment, Store


class Filesystem(Store):
    """A folder of this test's own."""

    destination = "filesystem"
    name = "filesystem"
    packages = ()
    can_be_killed = True

    def environment(self) -> Environment:
        return {"DESTINATION__FILESYSTEM__BUCKET_URL": self.folder.as_uri()}

    def views(self) -> str:
        """The text of the file of views."""
        return (self.folder / DATASET / VIEWS_FILE).read_text()

    def files(self) -> dict[str, bytes]:
        """Every file below the dataset's folder, by its path there."""
        folder = self.folder / DATASET
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    @contextmanager
    def opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'")
            connection.execute(self.views())
            yield connection

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.opened() as connection:
            return connection.execute(sql).fetchall()

    def table_names(self) -> list[str]:
        names = self.query("select table_name from information_schema.tables")
        return [name for (name,) in names if name in ALL_TABLES or name == "_dlt_loads"]

    def read(self, name: str) -> list[dict[str, Any]]:
        return self.tables(name)[name]

    def tables(self, *names: str) -> dict[str, list[dict[str, Any]]]:
        with self.opened() as connection:
            return {name: connection.table(name).to_arrow_table().to_pylist() for name in names}

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        return {path: [(hashlib.sha256(content).hexdigest(),)] for path, content in self.files().items()}
