"""Texts of SQL: values and names from elsewhere, such that nothing in them is read as SQL. Pure functions."""

from collections.abc import Iterable
from typing import Any


def literal(text: str, dialect: str | None = None) -> str:
    """Return a text as a literal of a dialect (sqlglot's name of it); None for standard SQL."""
    if "'" not in text and "\\" not in text and text.isprintable():
        return f"'{text}'"

    # Rare: in Snowflake, BigQuery, MySQL and others a backslash would take the quotation mark after it along.
    from sqlglot import exp

    return exp.Literal.string(text).sql(dialect=dialect)


def quoted_name(name: str) -> str:
    """Return the name of a table or column of DuckDB's as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def is_one_of(column: str, keys: Iterable[Any]) -> str:
    """Return a condition of DuckDB's: a column is one of some texts or integers."""
    literals = (literal(key, "duckdb") if isinstance(key, str) else str(int(key)) for key in keys)
    return f"{column} in ({listed})" if (listed := ", ".join(literals)) else "false"
