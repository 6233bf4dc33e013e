"""The base tables and the views on two real databases, and how a view's rows are compared with those wanted."""

import math
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from linq_source.analytics.views import in_order, statement
from linq_source.event_tables import EVENT_TABLES
from linq_source.tables import TABLES
from tests.views_oracle import Row, Rows

DATASET = "linq_data"

SCHEMAS: dict[str, pa.Schema] = {
    name: table.schema.append(pa.field("_dlt_load_id", pa.string()))
    for name, table in {**TABLES, **EVENT_TABLES}.items()
} | {"_dlt_loads": pa.schema({"load_id": pa.string(), "inserted_at": pa.timestamp("us", tz="UTC")})}

POSTGRES_TYPES = {
    pa.int64(): "bigint",
    pa.string(): "text",
    pa.bool_(): "boolean",
    pa.float64(): "double precision",
    pa.timestamp("us", tz="UTC"): "timestamptz",
}

KEYS = {
    "live_messages": ("id",),
    "messages_live": ("id",),
    "turns": ("chat_id", "turn_number"),
    "replies": ("chat_id", "turn_number"),
    "response_rates_daily": ("day", "phone_number", "service", "direction"),
    "conversations": ("chat_id",),
    "number_scorecard": ("phone_number",),
    "delivery_health": ("day", "phone_number", "service"),
    "sms_risk": ("day", "phone_number"),
    "reaction_summary": ("phone_number", "reaction", "is_from_me"),
    "contact_engagement": ("contact_id",),
    "call_summary": ("day", "phone_number", "direction"),
    "sync_health": ("chat_id", "phone_number"),
}
"""What a row of each view is about: no two have the same."""

ROUNDED = {
    *("median_reply_seconds", "p90_reply_seconds", "our_median_reply_seconds", "their_median_reply_seconds"),
    *("p50_first_reply_seconds", "p90_first_reply_seconds", "median_delay_seconds", "p90_delay_seconds"),
    *("total_seconds", "mean_seconds"),
}
"""Interpolated, or added up of fractions: engines do that in an order of their own, so the last bit is theirs. All
other columns are the same to the last digit, reply_seconds and the rates too."""


class Duck:
    """A DuckDB in memory."""

    def __init__(self) -> None:
        # One thread: more cost more than they save on so few rows.
        self.connection = duckdb.connect(config={"threads": 1})
        self.execute(f"create schema {DATASET}")
        for name, schema in SCHEMAS.items():
            self.connection.register("arriving", schema.empty_table())
            self.execute(f"create table {DATASET}.{name} as select * from arriving")
        for name in in_order():
            self.execute(statement(name, DATASET, "duckdb"))

    def execute(self, sql: str) -> None:
        self.connection.execute(sql)

    def fill(self, rows: Rows) -> None:
        """Have these rows in the tables and no others."""
        self.connection.begin()
        for name, found in rows.items():
            self.connection.register("arriving", pa.Table.from_pylist(found, schema=SCHEMAS[name]))
            self.execute(f"delete from {DATASET}.{name}")
            self.execute(f"insert into {DATASET}.{name} select * from arriving")
        self.connection.commit()

    def rows(self, name: str) -> list[Row]:
        """All rows of a view."""
        found: list[Row] = self.connection.sql(f"select * from {DATASET}.{name}").to_arrow_table().to_pylist()
        return found


class Elephant:
    """A database of a PostgreSQL server."""

    def __init__(self, address: dict[str, Any]) -> None:
        import psycopg2

        self.connection = psycopg2.connect(**address)
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        self.execute(f"create schema {DATASET}")
        for name, schema in SCHEMAS.items():
            columns = ", ".join(f'"{field.name}" {self._type(field)}' for field in schema)
            self.execute(f"create table {DATASET}.{name} ({columns})")
        for name in in_order():
            self.execute(statement(name, DATASET, "postgres"))

    def _type(self, field: "pa.Field[Any]") -> str:
        return "jsonb" if field.metadata else POSTGRES_TYPES[field.type]

    def execute(self, sql: str) -> None:
        self.cursor.execute(sql)

    def fill(self, rows: Rows) -> None:
        """Have these rows in the tables and no others."""
        for name, found in rows.items():
            columns = SCHEMAS[name].names
            self.execute(f"truncate {DATASET}.{name}")
            places = ", ".join(["%s"] * len(columns))
            values = [[row.get(column) for column in columns] for row in found]
            self.cursor.executemany(f"insert into {DATASET}.{name} values ({places})", values)

    def rows(self, name: str) -> list[Row]:
        """All rows of a view."""
        self.execute(f"select * from {DATASET}.{name}")
        columns = [column.name for column in self.cursor.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in self.cursor.fetchall()]


def differences(name: str, found: list[Row], wanted: list[Row]) -> list[str]:
    """What a view has otherwise than wanted."""
    if len(found) != len(wanted):
        return [f"{name}: {len(found)} rows, not {len(wanted)}"]
    keys = KEYS[name]
    pairs = list(zip(_sorted(found, keys), _sorted(wanted, keys), strict=True))
    if pairs and list(found[0]) != list(wanted[0]):
        return [f"{name}: columns {list(found[0])}, not {list(wanted[0])}"]
    return [
        f"{name} {[true[key] for key in keys]} {column}: {row[column]!r}, not {true[column]!r}"
        for row, true in pairs
        for column in true
        if not _is_same(column, row[column], true[column])
    ]


def _sorted(rows: list[Row], keys: tuple[str, ...]) -> list[Row]:
    return sorted(rows, key=lambda row: [(row[key] is not None, row[key]) for key in keys])


def _is_same(column: str, found: Any, wanted: Any) -> bool:
    if column in ROUNDED and type(found) is type(wanted) is float:
        return math.isclose(found, wanted, rel_tol=1e-9)
    if isinstance(found, datetime) and isinstance(wanted, datetime) and found.tzinfo and wanted.tzinfo:
        # Python holds an instant in the hour that a clock change repeats for equal to none of another zone.
        return found.astimezone(UTC) == wanted.astimezone(UTC)
    # Without the types, 1 and 1.0 and True and a decimal were the same.
    return type(found) is type(wanted) and bool(found == wanted)
