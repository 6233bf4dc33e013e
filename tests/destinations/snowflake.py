"""Snowflake, as fakesnow plays it: its SQL translated for a DuckDB in the process that asks, its databases in files.

A process that is killed takes the DuckDB with it, which keeps what was committed, as a server would. What it proves
is our SQL and dlt's, not how Snowflake stages files: COPY is played here.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from functools import cache
from typing import Any
from unittest.mock import patch

from tests.destinations.store import DATASET, Environment, Store

DATABASE = "LINQ"
FOLDER = "LINQ_TESTS_SNOWFLAKE"


class Snowflake(Store):
    """A schema of a database that lasts as long as the store."""

    destination = "snowflake"
    packages = ("fakesnow", "snowflake.connector")

    is_played = True

    @classmethod
    def prepared(cls) -> AbstractContextManager[object]:
        return cls.stand_in()

    @classmethod
    def stand_in(cls) -> AbstractContextManager[object]:
        return _stood_in()

    def environment(self) -> Environment:
        names = {"DATABASE": DATABASE, "HOST": "fake", "USERNAME": "linq", "PASSWORD": "none", "WAREHOUSE": "none"}
        settings = {f"DESTINATION__SNOWFLAKE__CREDENTIALS__{name}": value for name, value in names.items()}
        return {FOLDER: str(self.folder), **settings}

    def _run(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Ask the DuckDB that is behind it, in DuckDB's SQL."""
        connection = _played().duck_conn.cursor()
        connection.execute(f"use {DATABASE}.{DATASET.upper()}; set timezone = 'UTC'")
        cursor = connection.execute(sql)
        return [column[0].lower() for column in cursor.description or ()], cursor.fetchall()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self._run(sql)[1]

    def table_names(self) -> list[str]:
        sql = (
            f"select table_name from duckdb_tables() where database_name = '{DATABASE}' "
            f"and schema_name = '{DATASET.upper()}'"
        )
        return [str(name).lower() for (name,) in self.query(sql)]

    def read(self, name: str) -> list[dict[str, Any]]:
        columns, rows = self._run(f'select * from "{name.upper()}"')
        return [{column: _plain(value) for column, value in zip(columns, row, strict=True)} for row in rows]

    def close(self) -> None:
        _played().duck_conn.close()


def _plain(value: Any) -> Any:
    """Return a whole decimal, as Snowflake's connector gives it back; and what a text in a VARIANT spells."""
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    return json.loads(value) if isinstance(value, str) and value.startswith('"[') else value


def _played() -> Any:
    """The Snowflake of the folder that the environment names. One process at a time has its databases open."""
    return _in_folder(os.environ[FOLDER])


@cache
def _in_folder(folder: str) -> Any:
    from fakesnow.instance import FakeSnow

    return FakeSnow(create_schema_on_connect=False, db_path=folder)


_FILE = re.compile(r"PUT 'file://(?P<path>[^']+)'", re.IGNORECASE)
_COPY = re.compile(r"COPY INTO (?P<table>\S+)", re.IGNORECASE)


_TEXT_OF = re.compile(r"(?<=JSON_EXTRACT_PATH_TEXT\()CAST\((\S+) AS VARCHAR\)")
"""The text in a VARIANT: Snowflake's cast gives it as it is, and fakesnow's in quotation marks."""


@contextmanager
def _stood_in() -> Iterator[None]:
    """Have every connection of Snowflake's connector go to the current fake, with what fakesnow lacks."""
    from fakesnow.cursor import FakeSnowflakeCursor

    execute, description = FakeSnowflakeCursor.execute, FakeSnowflakeCursor.description

    def run(cursor: Any, command: str, params: Any = None, *args: Any, **how: Any) -> Any:
        how.pop("num_statements", None)
        if put := _FILE.match(command):
            cursor._conn.put_file = put["path"]
            return cursor
        if copied := _COPY.match(command):
            cursor._duck_conn.execute(_insert(cursor, copied["table"], cursor._conn.put_file))
            return cursor
        for statement in _statements(_TEXT_OF.sub(r"JSON_EXTRACT_PATH_TEXT(\1, '')", command)):
            execute(cursor, statement, params, *args, **how)
        return cursor

    def described(cursor: Any) -> Any:
        # Asked of statements that give no rows too.
        return (
            description.__get__(cursor) if cursor._arrow_table is not None and _is_query(cursor._last_sql) else None
        )

    def connect(*, schema: str, **how: Any) -> Any:
        # dlt names the schema as SQL does: with the database before it, in quotation marks.
        return _played().connect(schema=schema.split(".")[-1].strip('"'), **how)

    with (
        patch("snowflake.connector.connect", connect),
        patch.object(FakeSnowflakeCursor, "execute", run),
        patch.object(FakeSnowflakeCursor, "description", property(described)),
    ):
        yield


def _statements(command: str) -> list[str]:
    import sqlglot

    if ";" not in command.rstrip().rstrip(";"):
        return [command]
    tokens = sqlglot.tokenize(command, read="snowflake")
    ends = [token.start for token in tokens if token.token_type.name == "SEMICOLON"]
    parts = [
        command[start:end] for start, end in zip([0, *(end + 1 for end in ends)], [*ends, len(command)], strict=True)
    ]
    return [part for part in parts if part.strip()]


def _is_query(sql: str | None) -> bool:
    return bool(sql) and str(sql).lstrip("( ").upper().startswith(("SELECT", "WITH", "SHOW", "DESCRIBE"))


def _insert(cursor: Any, table: str, file: str) -> str:
    """Return DuckDB's statement that copies a file into a table, column by column of the same name."""
    name = [part.strip('"') for part in table.split(".")]
    place = ".".join(f'"{part}"' for part in (name if len(name) == 3 else [DATABASE, *name]))
    described = cursor._duck_conn.execute(f"describe {place}").fetchall()
    types = {column: kind for column, kind, *_ in described}
    if ".parquet" in file:
        present = {
            name for (name, *_) in cursor._duck_conn.execute(f"describe from read_parquet('{file}')").fetchall()
        }
        source = f"read_parquet('{file}')"
    else:
        present = {column.lower() for column in types}
        texts = {column.lower(): "JSON" if kind == "JSON" else "VARCHAR" for column, kind in types.items()}
        source = f"read_json('{file}', format = 'newline_delimited', columns = {texts!r})"
    # As in Snowflake, a text that spells JSON is a text in a VARIANT.
    values = {
        column: f'to_json("{column.lower()}")' if kind == "JSON" else f'"{column.lower()}"::{kind}'
        for column, kind in types.items()
        if column.lower() in present
    }
    columns = ", ".join(f'"{column}"' for column in values)
    return f"insert into {place} ({columns}) select {', '.join(values.values())} from {source}"
