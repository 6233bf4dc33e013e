"""Reads from a DuckDB file what the report shows: sums, and the chats that wait; no row of messages."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from linq_source import settings
from linq_source.analytics import report_queries as queries
from linq_source.analytics.identities import chat_label, our_label
from linq_source.analytics.views import VERSION_VIEW, models
from linq_source.database import opened_for_reading
from linq_source.errors import ConfigurationError, DestinationError

Connection = duckdb.DuckDBPyConnection

_TEXT_SHOWN = 200


def read_report(
    database: Path, *, show_identities: bool = False, now: datetime | None = None, dataset_name: str | None = None
) -> dict[str, Any]:
    """Return everything that the report shows, as JSON-able values.

    Raises ConfigurationError when there is no database or no sync has filled it, DestinationError when it cannot be
    read.
    """
    at = now or datetime.now(UTC)
    with opened_for_reading(database) as connection:
        reader = _Reader(connection, dataset_name or settings.DATASET_NAME)
        reader.check(database)
        try:
            return _everything(reader, at, show_identities=show_identities)
        except duckdb.Error as error:
            raise DestinationError(
                f"The tables in {database} cannot be read: run a sync first, then the report "
                f"({str(error).splitlines()[0][:200].rstrip('.')})."
            ) from None


def _everything(reader: "_Reader", now: datetime, *, show_identities: bool) -> dict[str, Any]:
    reader.copy_views()
    reader.keep("numbers", queries.NUMBERS)
    reader.keep("services", queries.SERVICES)
    numbers = reader.rows("from {numbers} order by number")
    return {
        "generated_at": _millis(now),
        "loaded_at": reader.value(queries.LOADED_AT),
        "show_identities": show_identities,
        "ratio": queries.RATIO,
        "numbers": [_number(row, show_identities=show_identities) for row in numbers],
        "services": [row["name"] for row in reader.rows("from {services} order by service")],
        "facts": reader.columns(queries.FACTS),
        "replies": _with_differences(reader.columns(queries.REPLIES)),
        "hours": reader.columns(queries.HOURS),
        "sms": reader.columns(queries.SMS),
        "waiting": [_waiting(row, show_identities=show_identities) for row in reader.rows(queries.WAITING)],
        "waiting_counts": reader.rows(queries.WAITING_COUNTS, now=now),
        "sync": reader.rows(queries.SYNC),
        "rejected": reader.value(queries.REJECTED),
    }


class _Reader:
    """Queries whose `{name}` is a copied view, or else a table or view of the database."""

    def __init__(self, connection: Connection, dataset_name: str) -> None:
        self.connection = connection
        self.dataset_name = dataset_name
        self.copied: set[str] = set()
        connection.execute("set timezone = 'UTC'; set preserve_insertion_order = false")

    def check(self, database: Path) -> None:
        """Raise ConfigurationError unless a sync has made the views."""
        found = self.connection.execute(
            "select table_name from information_schema.tables where table_schema = ?", [self.dataset_name]
        ).fetchall()
        names = {name for (name,) in found}
        if "messages" not in names:
            raise ConfigurationError(
                f"The database {database} holds no Linq tables yet: run a sync into it first, or name another one "
                "with --database."
            )
        if not {VERSION_VIEW, *queries.COPIED} <= names:
            raise ConfigurationError(f"The database {database} has no views yet: run a sync into it first.")

    def copy_views(self) -> None:
        """Work out the views that several queries read, once; each is its own SQL over the copies before it."""
        for name in queries.COPIED:
            self.keep(name, models()[name])

    def keep(self, name: str, sql: str) -> None:
        """Keep the rows of a query under a name."""
        self.connection.execute(f'create temp table "{name}" as {self._placed(sql)}')
        self.copied.add(name)

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """Rows of a query."""
        result: list[dict[str, Any]] = self._arrow(sql, values).to_pylist()
        return result

    def columns(self, sql: str) -> dict[str, list[Any]]:
        """Columns of a query."""
        result: dict[str, list[Any]] = self._arrow(sql, {}).to_pydict()
        return result

    def value(self, sql: str) -> Any:
        """The one value of a query."""
        row = self.connection.execute(self._placed(sql)).fetchone()
        return row[0] if row else None

    def _arrow(self, sql: str, values: dict[str, Any]) -> Any:
        # Of a relation, since connections have the method from DuckDB 1.5 on only.
        return self.connection.sql(self._placed(sql), params=values or None).to_arrow_table()

    def _placed(self, sql: str) -> str:
        def place(found: re.Match[str]) -> str:
            return f'temp."{found[1]}"' if found[1] in self.copied else f'"{self.dataset_name}"."{found[1]}"'

        return re.sub(r"\{(\w+)\}", place, sql)


def _number(row: dict[str, Any], *, show_identities: bool) -> dict[str, Any]:
    number, user_name = row["phone_number"], row["user_name"]
    return {"label": our_label(number, user_name, show_identities=show_identities), "user": user_name}


def _waiting(row: dict[str, Any], *, show_identities: bool) -> dict[str, Any]:
    masked = chat_label(row["chat_id"], is_group=row["is_group"], people=row["people"], handle=row["handle"])
    shown = {name: row[name] for name in ("number", "service", "messages", "since")}
    if not show_identities:
        return shown | {"chat": masked}
    return shown | {
        "chat": row["display_name"] or row["handle"] or masked,
        "handle": row["handle"] if not row["is_group"] else None,
        "text": (row["text"] or "")[:_TEXT_SHOWN],
    }


def _with_differences(replies: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Replace sorted steps by the difference of each to the one before, which packs better."""

    def differences(steps: list[int]) -> list[int]:
        return [one - before for before, one in zip([0, *steps[:-1]], steps, strict=True)]

    return replies | {"steps": [differences(steps) for steps in replies["steps"]]}


def _millis(at: datetime) -> int:
    return int(at.timestamp() * 1000)
