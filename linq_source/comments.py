"""What each table and column holds, as comments in those databases that have them and where dlt writes none."""

from collections.abc import Iterator
from typing import Any

from dlt.destinations.sql_client import SqlClientBase

from linq_source.event_tables import ALL_TABLES
from linq_source.sql_text import literal
from linq_source.tables import Table

DIALECTS = ("duckdb", "postgres")
"""dlt 1.31 itself writes column comments in BigQuery, Databricks and Snowflake."""

_STORED = "select table_name, column_name from information_schema.columns where table_schema = %s"


def comment(client: SqlClientBase[Any], dialect: str | None) -> None:
    """Describe the tables and columns that are there."""
    if dialect not in DIALECTS:
        return
    stored = {(table, column) for table, column in client.execute_sql(_STORED, client.dataset_name) or []}
    with client.begin_transaction():
        for table in ALL_TABLES.values():
            if any(name == table.name for name, _ in stored):
                for statement in _statements(table, client.make_qualified_table_name(table.name), stored):
                    client.execute_sql(statement)


def _statements(table: Table, qualified: str, stored: set[tuple[str, str]]) -> Iterator[str]:
    yield f"comment on table {qualified} is {literal(table.description)}"
    for column in table.columns:
        if (table.name, column.name) in stored:
            yield f'comment on column {qualified}."{column.name}" is {literal(column.description)}'
