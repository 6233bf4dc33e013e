"""Creates the views: each .sql file beside this one is a view of its name, in the dialect of the destination."""

import hashlib
import logging
import re
from collections.abc import Callable, Set
from contextlib import nullcontext
from functools import cache
from importlib.resources import files
from typing import Any

import sqlglot
from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.sql_client import SqlClientBase

from linq_source.analytics.dialects import adapted

logger = logging.getLogger(__name__)

DIALECT = "duckdb"
"""The dialect that the files are written in."""

VERSION_VIEW = "linq_views"
"""A view of one row that tells which version of the views was created, so that an idle sync creates none."""

_PLACE = r"\{(\w+)\}"

_WITHOUT = {"sqlite": "SQLite has no quantiles, time zones and regular expressions"}
"""Dialects in which the views cannot be written, and why."""


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


def can_be_made(dialect: str | None) -> bool:
    """Whether the views can be written in a dialect of sqlglot's at all."""
    return bool(dialect) and dialect not in _WITHOUT


def present_names(client: SqlClientBase[Any]) -> set[str]:
    """The names of the tables and views of a dataset, as they are written here: in small letters."""
    if client.capabilities.sqlglot_dialect == "bigquery":
        place = client.fully_qualified_dataset_name()
        found = client.execute_sql(f"select table_name from {place}.INFORMATION_SCHEMA.TABLES")  # noqa: S608  # dlt's
    else:
        fold: Callable[[str], str] = client.capabilities.casefold_identifier
        sql = "select table_name from information_schema.tables where table_schema = %s"
        found = client.execute_sql(sql, fold(client.dataset_name))
    return {str(name).lower() for (name,) in found or []}


def statement(
    name: str, dataset_name: str, dialect: str, *, fold: Callable[[str], str] = str, catalog: str | None = None
) -> str:
    """Return the statement that creates a view, in a dialect of sqlglot's; `fold` spells the names of tables."""
    return _create(name, models()[name], dataset_name, dialect, fold, catalog)


def _create(
    name: str, sql: str, dataset_name: str, dialect: str, fold: Callable[[str], str], catalog: str | None
) -> str:
    place = ".".join(f'"{part}"' for part in (catalog, fold(dataset_name)) if part)

    def qualified(found: re.Match[str]) -> str:
        return f'{place}."{fold(found[1])}"'

    sql = re.sub(_PLACE, qualified, f"create or replace view {{{name}}} as {sql}")
    if dialect == DIALECT:
        return sql
    tree = adapted(sqlglot.parse_one(sql, read=DIALECT), dialect)
    # What a dialect lacks are modifiers that change nothing here, as NULLS LAST for columns that hold no null.
    return tree.sql(dialect, comments=False, unsupported_level=sqlglot.ErrorLevel.IGNORE)


def statements(
    present: Set[str],
    dataset_name: str,
    dialect: str,
    fold: Callable[[str], str] = str,
    catalog: str | None = None,
) -> list[str]:
    """Return what creates every view whose tables are present, then the one that tells their version."""
    models_made = [(name, models()[name]) for name in _possible(present)]
    told = (VERSION_VIEW, f"select '{version(present)}' as version")
    return [_create(name, sql, dataset_name, dialect, fold, catalog) for name, sql in [*models_made, told]]


def version(present: Set[str]) -> str:
    """Return a hash of all views that can be made from the tables present."""
    made = [f"{name} {models()[name]}" for name in _possible(present)]
    return hashlib.sha256("\n".join(made).encode()).hexdigest()[:16]


def are_current(found: str, present: Set[str]) -> bool:
    """Whether the views of a version are all that can be made, and all stand among the tables and views present."""
    return found == version(present) and set(_possible(present)) <= present


def create_views(client: SqlClientBase[Any], dialect: str) -> list[str]:
    """Create every view whose tables exist, then one that tells their version; the others are skipped.

    Returns a sentence where the destination takes no views: its tables are then all that there is.
    """
    if not can_be_made(dialect):
        return [f"the views were left out: {_WITHOUT.get(dialect, 'no dialect of the destination is known')}"]
    try:
        _create_views(client, dialect)
    except DatabaseException as error:
        logger.debug("The views could not be created.", exc_info=True)
        first_line = next(iter(str(error).strip().splitlines()), "")[:300].rstrip(".")
        return [f"the views were left out, since the destination refused them: {first_line}"]
    return []


def _create_views(client: SqlClientBase[Any], dialect: str) -> None:
    present = present_names(client)
    possible = _possible(present)
    # BigQuery looks a table up in the project of whoever asks, unless the view names one.
    catalog = client.catalog_name(quote=False) if dialect == "bigquery" else None
    how: tuple[Any, ...] = (client.dataset_name, dialect, client.capabilities.casefold_identifier, catalog)
    with client.begin_transaction() if client.capabilities.supports_ddl_transactions else nullcontext():
        if dialect != DIALECT:
            # PostgreSQL replaces a view only by one that has the same columns, and more.
            for name in reversed(possible):
                client.execute_sql(f"drop view if exists {client.make_qualified_table_name(name)}")
        for sql in statements(present, *how):
            client.execute_sql(sql)


def _possible(present: Set[str]) -> list[str]:
    """The views whose tables and views are there, each after those that it reads."""
    made: list[str] = []
    for name in in_order():
        if needed(models()[name]) - models().keys() <= present and needed(models()[name]) & models().keys() <= set(
            made
        ):
            made.append(name)
    return made
