"""DuckLake: Parquet files, and a catalog in a DuckDB file."""

from contextlib import suppress
from typing import Any

import duckdb

from tests.destinations.store import DATASET, Environment, Store


class Ducklake(Store):
    """A lake in a folder; its extension is a package, so that none is downloaded."""

    destination = "ducklake"
    packages = ("duckdb_extensions", "duckdb_extension_ducklake")

    def environment(self) -> Environment:
        from duckdb_extensions import import_extension

        import_extension("ducklake")
        return {
            "DESTINATION__DUCKLAKE__CREDENTIALS": f"ducklake:///{self._name}",
            "DESTINATION__DUCKLAKE__CREDENTIALS__DUCKLAKE_NAME": "linq_lake",
            "DESTINATION__DUCKLAKE__CREDENTIALS__CATALOG": f"duckdb:///{self.folder / 'catalog.duckdb'}",
            "DESTINATION__DUCKLAKE__CREDENTIALS__STORAGE__BUCKET_URL": (self.folder / "files").as_uri(),
        }

    _name = "linq_lake"

    def _run(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        with duckdb.connect() as connection:
            connection.execute("load ducklake")
            connection.execute(f"attach 'ducklake:{self.folder / 'catalog.duckdb'}' as lake")
            with suppress(duckdb.CatalogException):
                connection.execute(f"use lake.{DATASET}")
            connection.execute("set timezone = 'UTC'")
            cursor = connection.execute(sql)
            return [column[0] for column in cursor.description or ()], cursor.fetchall()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self._run(sql)[1]

    def table_names(self) -> list[str]:
        sql = f"select table_name from duckdb_tables() where database_name = 'lake' and schema_name = '{DATASET}'"
        return [name for (name,) in self.query(sql)]

    def read(self, name: str) -> list[dict[str, Any]]:
        columns, rows = self._run(f'select * from "{name}"')
        return [dict(zip(columns, row, strict=True)) for row in rows]
