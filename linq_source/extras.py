"""Fields that Linq adds later: each becomes a column by itself, of the type its first values have.

A value that does not fit the column's type goes to a column of its own beside it, named as dlt names them:
`priority`, then `priority__v_text`. A nested value makes a JSON column.
"""

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


class ExtraColumns:
    """The columns of unknown fields seen so far, by table. dlt's type names."""

    def __init__(self, known: dict[str, dict[str, str]] | None = None) -> None:
        self._types: dict[str, dict[str, str]] = {name: dict(types) for name, types in (known or {}).items()}

    def columns(self, table: Table, fields: dict[str, list[Any]]) -> list[tuple[AnyField, AnyArray]]:
        """Return the columns that hold `fields` (name -> one value per row, None where a row has none)."""
        taken = {column.name for column in table.columns}
        found: list[tuple[AnyField, AnyArray]] = []
        for field, values in fields.items():
            name = column_name(field)
            while name in taken:
                name += "_x"
            found += self._split(table.name, name, values)
            taken |= {each.name for each, _ in found}
        return found

    def _split(self, table_name: str, name: str, values: list[Any]) -> list[tuple[AnyField, AnyArray]]:
        present = [value for value in values if value is not None]
        if not present:
            return []
        types = self._types.setdefault(table_name, {})
        kind = types.setdefault(name, infer(name, present))
        fits = [value if value is None or _fits(value, kind) else None for value in values]
        rest = [None if fit is not None else value for fit, value in zip(fits, values, strict=True)]
        array = to_column(fits, ARROW_TYPES[kind], is_json=kind == "json").array
        metadata = {"json": "yes"} if kind == "json" else None
        columns = [(pa.field(name, ARROW_TYPES[kind], metadata=metadata), array)]
        if any(value is not None for value in rest):
            misfit = infer(name, [value for value in rest if value is not None])
            columns += self._split(table_name, f"{name.split('__v_')[0]}__v_{misfit}", rest)
        return columns


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
    return own == kind or (kind == "double" and own == "bigint") or (kind == "text" and own != "json")


def _is_time(value: Any) -> bool:
    return parse_times([value])[1] == 0


def column_name(field: str) -> str:
    """Return a field's name as a column's: snake_case, and never empty."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", field)
    name = re.sub(r"_{3,}", "__", re.sub(r"[^a-z0-9_]+", "_", snake.lower())).strip("_")[:60]
    return f"_{name}" if not name or name[0].isdigit() else name
