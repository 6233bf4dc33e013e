"""What destinations give back, as Arrow tables in our own schemas: each has its own ways with times and JSON."""

import json
from collections.abc import Mapping, Sequence, Set
from typing import Any

import pyarrow as pa

from linq_source.extras import ARROW_TYPES
from linq_source.tables import Table
from linq_source.times import TIMESTAMP, AnyField, parse_times
from linq_source.values import to_json

_POSTGRES_JSON = (114, 3802)

QUOTE_JSON = ("snowflake",)
"""Dialects whose loads take the text of a JSON column for a JSON text, and give it back in quotation marks."""


def to_arrow(cursor: Any) -> pa.Table:
    """Return what a cursor of Python values holds; JSON as text, since Arrow would make one struct of all rows."""
    # Names are taken from dlt, since SQLAlchemy's cursors have no description; Snowflake's are in capitals.
    names = [name.lower() for name in cursor.columns_schema]
    described = getattr(cursor.native_cursor, "description", None)
    kinds = [column[1] for column in described] if described else [None] * len(names)
    columns: list[Sequence[Any]] = list(zip(*map(tuple, cursor.fetchall()), strict=True)) or [()] * len(names)
    arrays = []
    for kind, values in zip(kinds, columns, strict=True):
        if kind in _POSTGRES_JSON or any(isinstance(value, dict | list) for value in values):
            values = [to_json(value) for value in values]
        arrays.append(pa.array(values))
    return pa.Table.from_arrays(arrays, names=names)


def conform(
    found: pa.Table, table: Table, json_columns: Set[str] = frozenset(), types: Mapping[str, str] | None = None
) -> pa.Table:
    """Return what a destination gave back in the table's own schema, then other columns but dlt's own.

    `types` are dlt's types of those others, where they are known.
    """
    known = {column.name for column in table.columns}
    fields: list[AnyField] = []
    arrays: list[Any] = []
    for column in table.columns:
        field = table.field(column)
        position = found.schema.get_field_index(column.name)
        fields.append(field)
        arrays.append(
            pa.nulls(found.num_rows, type=field.type) if position < 0 else as_type(found.column(position), field.type)
        )
    for field in found.schema:
        if field.name not in known and not field.name.startswith("_dlt_"):
            kind = ARROW_TYPES.get((types or {}).get(field.name, ""), field.type)
            kind = TIMESTAMP if pa.types.is_timestamp(kind) else kind
            field = field.with_type(kind)
            fields.append(field.with_metadata({"json": "yes"}) if field.name in json_columns else field)
            arrays.append(as_type(found.column(field.name), kind))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def unquoted(table: pa.Table) -> pa.Table:
    """Return a table whose columns of JSON are texts that were stored as JSON's texts, as what they spell."""
    for position, field in enumerate(table.schema):
        if (field.metadata or {}).get(b"json"):
            texts: list[Any] = [
                json.loads(text) if text and text[0] == '"' else text for text in table.column(position).to_pylist()
            ]
            table = table.set_column(position, field, pa.array(texts, type=field.type))
    return table


def as_type(values: Any, kind: pa.DataType) -> Any:
    """Return an Arrow column as another type; times that come as texts, or without a zone, are UTC.

    Raises ValueError where a time cannot be read.
    """
    if kind == TIMESTAMP and pa.types.is_string(values.type):
        times, unread = parse_times(values.to_pylist())
        if unread:
            raise ValueError(f"{unread} times that the destination gave back cannot be read")
        return times
    return values.cast(kind)
