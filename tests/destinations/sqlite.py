"""SQLite, through dlt's destination for all that SQLAlchemy reaches."""

import sqlite3
from contextlib import closing
from typing import Any

from tests.destinations.store import DATASET, Environment, Store


class Sqlite(Store):
    """A dataset is a file beside the one that is named; dlt attaches it."""

    destination = "sqlalchemy"
    packages = ("sqlalchemy",)
    is_tried_apart = True
    has_views = False

    def environment(self) -> Environment:
        return {"DESTINATION__SQLALCHEMY__CREDENTIALS": f"sqlite:///{self.folder / 'linq.db'}"}

    def _run(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        with closing(sqlite3.connect(self.folder / f"linq__{DATASET}.db")) as connection, connection:
            cursor = connection.execute(sql)
            return [column[0] for column in cursor.description or ()], cursor.fetchall()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self._run(sql)[1]

    def table_names(self) -> list[str]:
        return [name for (name,) in self.query("select name from sqlite_master where type = 'table'")]

    def read(self, name: str) -> list[dict[str, Any]]:
        columns, rows = self._run(f'select * from "{name}"')
        return [dict(zip(columns, row, strict=True)) for row in rows]
