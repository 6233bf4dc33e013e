"""Creates the views: each .sql file beside this one is a view of its name, in the dialect of the destination."""

import hashlib
import re
from collections.abc import Set
from contextlib import nullcontext
from functools import cache
from importlib.resources import files
from typing import Any

import sqlglot
from dlt.destinations.sql_client import SqlClientBase

DIALECT = "duckdb"
"""The dialect that the files are written in."""

VERSION_VIEW = "linq_views"
"""A view of one row that tells which version of the views was created, so that an idle sync creates none."""

_PLACE = r"\{(\w+)\}"

PRESENT = "select table_name from information_schema.tables where table_schema = %s"


@cache
def models() -> dict[str, str]:
    """The SQL of each view by name; `{table}` stands where a table's or another view's name goes."""
    found = (file for file in files(__package__).iterdir() if file.name.endswith(".sql"))
    return {file.name.removesuffix(".sql"): file.read_text(encoding="utf-8") for file in found}


def needed(sql: str) -> set[str]:
    """The tables and views that a model reads."""
    return set(re.findall(_PLACE, sql))


@cache
def in_order() -> list[str]:
    """The names of all views, each after those that it reads."""
    order: list[str] = []

    def add(name: str) -> None:
        for other in sorted(needed(models()[name]) & models().keys()):
            add(other)
        if name not in order:
            order.append(name)

    for name in sorted(models()):
        add(name)
    return order


def statement(name: str, dataset_name: str, dialect: str) -> str:
    """Return the statement that creates a view, in a dialect of sqlglot's."""

    def qualified(found: re.Match[str]) -> str:
        return f'"{dataset_name}"."{found[1]}"'

    sql = re.sub(_PLACE, qualified, f"create or replace view {{{name}}} as {models()[name]}")
    if dialect == DIALECT:
        return sql
    # What a dialect lacks are modifiers that change nothing here, as NULLS LAST for columns that hold no null.
    [made] = sqlglot.transpile(
        sql, read=DIALECT, write=dialect, comments=False, unsupported_level=sqlglot.ErrorLevel.IGNORE
    )
    return made


def version(present: Set[str]) -> str:
    """Return a hash of all views that can be made from the tables present."""
    made = [f"{name} {models()[name]}" for name in _possible(present)]
    return hashlib.sha256("\n".join(made).encode()).hexdigest()[:16]


def are_current(found: str, present: Set[str]) -> bool:
    """Whether the views of a version are all that can be made, and all stand among the tables and views present."""
    return found == version(present) and set(_possible(present)) <= present


def create_views(client: SqlClientBase[Any], dialect: str) -> None:
    """Create every view whose tables exist, then one that tells their version; the others are skipped."""
    rows = client.execute_sql(PRESENT, client.dataset_name) or []
    present = {name for (name,) in rows}
    possible = _possible(present)
    with client.begin_transaction() if client.capabilities.supports_ddl_transactions else nullcontext():
        if dialect != DIALECT:
            # PostgreSQL replaces a view only by one that has the same columns, and more.
            for name in reversed(possible):
                client.execute_sql(f'drop view if exists "{client.dataset_name}"."{name}"')
        for name in possible:
            client.execute_sql(statement(name, client.dataset_name, dialect))
        qualified = f'"{client.dataset_name}"."{VERSION_VIEW}"'
        sql = f"create or replace view {qualified} as select '{version(present)}' as version"
        client.execute_sql(sqlglot.transpile(sql, read=DIALECT, write=dialect)[0])


def _possible(present: Set[str]) -> list[str]:
    """The views whose tables and views are there, each after those that it reads."""
    made: list[str] = []
    for name in in_order():
        if needed(models()[name]) - models().keys() <= present and needed(models()[name]) & models().keys() <= set(
            made
        ):
            made.append(name)
    return made
