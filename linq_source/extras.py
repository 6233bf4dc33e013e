"""Fields that Linq adds later: each becomes a column by itself, of the type its first values have.

A value that does not fit the column's type goes to a column of its own beside it, named as dlt names them:
`priority`, then `priority__v_text`. A nested value makes a JSON column. Where a table has MOST such columns already,
further fields go into one JSON column together.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from linq_source.tables import BOOLEAN, INTEGER, NUMBER, TEXT, Table
from linq_source.times import TIMESTAMP, AnyArray, AnyField, parse_times
from linq_source.values import to_column

ARROW_TYPES: dict[str, pa.DataType] = {
    "bigint": INTEGER,
    "double": NUMBER,
    "bool": BOOLEAN,
    "timestamp": TIMESTAMP,
    "text": TEXT,
    "json": TEXT,
}


MOST = 200
"""Columns that fields unknown to us may make in a table: they stay for ever, and thousands would stop every sync."""

FURTHER = "further_fields"
"""The column of the fields beyond that."""

_MAX_NAME = 60


class ExtraColumns:
    """The columns of unknown fields seen so far, by table. dlt's type names."""

    def __init__(self, known: dict[str, dict[str, str]] | None = None) -> None:
        self._types: dict[str, dict[str, str]] = {name: dict(types) for name, types in (known or {}).items()}

    def columns(self, table: Table, fields: dict[str, list[Any]]) -> list[tuple[AnyField, AnyArray]]:
        """Return the columns that hold `fields` (name -> one value per row, None where a row has none)."""
        taken = {column.name for column in table.columns}
        types = self._types.setdefault(table.name, {})
        found: list[tuple[AnyField, AnyArray]] = []
        further: dict[str, list[Any]] = {}
        for field, values in fields.items():
            name = _free(column_name(field), taken)
            if len(types) < MOST or name in types:
                found += self._split(table.name, name, values, taken)
            else:
                further[field] = values
        if further:
            rows = [_present(further, row) for row in zip(*further.values(), strict=True)]
            found += self._split(table.name, _free(FURTHER, taken), rows, taken)
        return found

    def _split(
        self, table_name: str, base: str, values: list[Any], taken: set[str]
    ) -> list[tuple[AnyField, AnyArray]]:
        """Return the column `base`, and one more for each type that does not fit those before it."""
        types = self._types.setdefault(table_name, {})
        columns: list[tuple[AnyField, AnyArray]] = []
        name = base
        while present := [value for value in values if value is not None]:
            taken.add(name)
            kind = types.setdefault(name, infer(base, present))
            fits = [value if value is not None and _fits(value, kind) else None for value in values]
            values = [value if fit is None else None for fit, value in zip(fits, values, strict=True)]
            array = to_column(fits, ARROW_TYPES[kind], is_json=kind == "json").array
            metadata = {"json": "yes"} if kind == "json" else None
            columns.append((pa.field(name, ARROW_TYPES[kind], metadata=metadata), array))
            left = [value for value in values if value is not None]
            name = _free(f"{base}__v_{infer(base, left)}", taken) if left else base
        return columns


def _present(names: Iterable[str], values: Iterable[Any]) -> dict[str, Any] | None:
    return {name: value for name, value in zip(names, values, strict=True) if value is not None} or None


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_x"
    return name


def infer(name: str, values: Iterable[Any]) -> str:
    """Return the narrowest dlt type that holds all `values`."""
    kinds = {_kind(value) for value in values}
    if kinds == {"text"} and name.endswith("_at") and all(_is_time(value) for value in values):
        return "timestamp"
    if kinds == {"bigint", "double"}:
        return "double"
    return kinds.pop() if len(kinds) == 1 else "json"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "bigint" if -(2**63) <= value < 2**63 else "text"
    if isinstance(value, float):
        return "double"
    return "text" if isinstance(value, str) else "json"


def _fits(value: Any, kind: str) -> bool:
    if kind == "json":
        return True
    if kind == "timestamp":
        return isinstance(value, str) and _is_time(value)
    own = _kind(value)
    if kind == "double" and own == "bigint":
        return bool(int(float(value)) == value)
    return own == kind or (kind == "text" and own != "json")


def _is_time(value: Any) -> bool:
    return parse_times([value])[1] == 0


def column_name(field: str) -> str:
    """Return a field's name as a column's: in snake_case, never empty, and such that dlt leaves it as it is.

    A name that says nothing in ASCII, or is too long, ends in a hash of the field's own, so that each keeps a
    column to itself.
    """
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", field)
    name = re.sub(r"_{3,}", "__", re.sub(r"[^a-z0-9_]+", "_", snake.lower())).strip("_")
    name = re.sub(r"__(?=\d)", "_", name)
    if not name or len(name) > _MAX_NAME:
        digest = hashlib.blake2b(field.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
        name = f"{name[:_MAX_NAME].strip('_') or 'field'}_{digest}"
    return f"_{name}" if name[0].isdigit() else name
