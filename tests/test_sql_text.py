"""Values and names in SQL are read back as what they are, whatever they hold."""

from types import SimpleNamespace
from typing import Any, NoReturn, Self

import duckdb
import pytest
import sqlglot
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from linq_source.memory import Memory
from linq_source.sql_text import literal, quoted_name

DIALECTS = ["duckdb", "postgres", "snowflake", "bigquery", "redshift", "databricks", "mysql", "clickhouse", "tsql"]

HOSTILE = r"x\' or 1=1 --"
"""Where a backslash escapes, this ends the literal if the quotation mark is only doubled."""


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
"""What a column can hold: the NUL is taken out of every text before it is stored."""

ODD = [HOSTILE, "", "o'neil", "a\\", "a\\b", "two\nlines", "100%s", "{x}", "日本", "''", "\\'"]


@pytest.mark.parametrize("dialect", [*DIALECTS, None])
@pytest.mark.parametrize("text", ODD)
def test_a_literal_is_one_text_and_the_same_in_every_dialect(text: str, dialect: str | None) -> None:
    [read] = sqlglot.parse_one(f"select {literal(text, dialect)}", read=dialect).expressions
    assert read.is_string
    assert read.this == text


@settings(derandomize=True, database=None)
@given(TEXTS)
def test_duckdb_reads_a_literal_as_what_it_was(text: str) -> None:
    [(read,)] = duckdb.sql(f"select {literal(text, 'duckdb')}").fetchall()
    assert read == text


@settings(derandomize=True, database=None)
@given(TEXTS.filter(bool))
def test_duckdb_reads_a_quoted_name_as_what_it_was(name: str) -> None:
    assert duckdb.sql(f"select 1 as {quoted_name(name)}").columns == [name]


class Snowflake:
    """Of dlt's client what a query needs; it has no tables, and keeps what it was asked."""

    def __init__(self) -> None:
        self.capabilities = SimpleNamespace(sqlglot_dialect="snowflake")
        self.asked: list[str] = []

    def __enter__(self) -> Self:
        return self

    def close_connection(self) -> None: ...

    def make_qualified_table_name(self, name: str) -> str:
        return name

    def execute_query(self, sql: str) -> NoReturn:
        self.asked.append(sql)
        raise DestinationUndefinedEntity(Exception())


def test_ids_of_events_and_calls_are_looked_up_in_the_dialect_of_the_destination() -> None:
    client: Any = Snowflake()
    with Memory(lambda: client) as memory:
        memory.fingerprints([HOSTILE])
        memory.calls([HOSTILE])
    for sql in client.asked:
        [texts] = sqlglot.parse_one(sql, read="snowflake").find_all(exp.In)
        assert [each.this for each in texts.expressions] == [HOSTILE]
    assert len(client.asked) == 2
