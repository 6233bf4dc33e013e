"""From JSON values to one Arrow column: repaired where the meaning is plain, refused where it is not."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from linq_source.strict_json import is_deeper
from linq_source.tables import BOOLEAN, INTEGER, NUMBER, TEXT
from linq_source.times import TIMESTAMP, AnyArray, parse_times

_MAX_DEPTH = 100
_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


class MisfitError(Exception):
    """A value that does not fit its column. Its text says why and never quotes the value."""


@dataclass
class Converted:
    """A column, the rows whose value does not fit it (with the reason), and how many times were unreadable."""

    array: AnyArray
    misfits: dict[int, str] = field(default_factory=dict)
    unread_times: int = 0


def to_column(values: Sequence[Any], kind: pa.DataType, *, is_json: bool = False) -> Converted:
    """Return `values` as one Arrow column of type `kind`; misfits are null in it."""
    if is_json:
        return Converted(pa.array([to_json(value) for value in values], type=TEXT))
    if kind == TIMESTAMP:
        array, unread = parse_times(values)
        return Converted(array, unread_times=unread)
    types = set(map(type, values))
    if kind == INTEGER and types <= _PLAIN[TEXT] and (digits := _from_digits(values)) is not None:
        return Converted(digits)
    if types <= _PLAIN[kind]:
        try:
            # Arrow converts at C speed, but would cut 1.5 to the integer 1 without a word.
            return Converted(_without_nul(pa.array(values, type=kind)))
        except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError):
            pass
    return _one_by_one(values, kind)


def _from_digits(values: Sequence[Any]) -> "AnyArray | None":
    """Return texts of digits as integers, as `to_integer` would in ten times as long; None where one is not that."""
    try:
        array = pa.array(values, type=TEXT)
    except UnicodeEncodeError:
        return None
    # Eighteen digits fit for sure; what Arrow reads beyond digits, like 0x10, is no integer here.
    are_digits = pc.all(pc.match_substring_regex(array, r"^-?[0-9]{1,18}$"))
    return array.cast(INTEGER) if are_digits.as_py() is not False else None


def _one_by_one(values: Sequence[Any], kind: pa.DataType) -> Converted:
    convert = _CONVERTERS[kind]
    converted: list[Any] = []
    misfits: dict[int, str] = {}
    for index, value in enumerate(values):
        try:
            converted.append(None if value is None else convert(value))
        except MisfitError as error:
            converted.append(None)
            misfits[index] = str(error)
    return Converted(_without_nul(pa.array(converted, type=kind)), misfits)


def _without_nul(array: AnyArray) -> AnyArray:
    # PostgreSQL stores no NUL in a text, so no destination gets one.
    if array.type == TEXT and pc.any(pc.match_substring(array, "\0")).as_py():
        return pc.replace_substring(array, "\0", "\ufffd")
    return array


def to_integer(value: Any) -> int:
    """Return an integer of 64 bits; digits in a text count as one (webhooks write ids so).

    Raises MisfitError for anything else.
    """
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,19}\s*", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise MisfitError(f"{_article(value)} where an integer belongs")
    if not -(2**63) <= value < 2**63:
        raise MisfitError("an integer beyond 64 bits")
    return value


def integer_or_none(value: Any) -> int | None:
    """Return what `to_integer` returns, or None where the value is no integer."""
    try:
        return to_integer(value)
    except MisfitError:
        return None


def to_text(value: Any) -> str:
    """Return a text without half characters; a number or a boolean becomes its JSON spelling.

    Raises MisfitError for anything else.
    """
    if isinstance(value, str):
        return mend(value)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise MisfitError(f"{_article(value)} where a text belongs")


def to_boolean(value: Any) -> bool:
    """Return a boolean; `"true"`, `"false"`, 0 and 1 count as one.

    Raises MisfitError for anything else.
    """
    if isinstance(value, bool):
        return value
    spelled = {"true": True, "false": False, "1": True, "0": False}
    if isinstance(value, str | int) and str(value).lower() in spelled:
        return spelled[str(value).lower()]
    raise MisfitError(f"{_article(value)} where a boolean belongs")


def to_number(value: Any) -> float:
    """Return a floating point number.

    Raises MisfitError for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MisfitError(f"{_article(value)} where a number belongs")
    try:
        return float(value)
    except OverflowError:
        raise MisfitError("a number beyond floating point") from None


_PLAIN: dict[pa.DataType, set[type]] = {
    INTEGER: {int, type(None)},
    TEXT: {str, type(None)},
    BOOLEAN: {bool, type(None)},
    NUMBER: {int, float, type(None)},
}
_CONVERTERS: dict[pa.DataType, Callable[[Any], Any]] = {
    INTEGER: to_integer,
    TEXT: to_text,
    BOOLEAN: to_boolean,
    NUMBER: to_number,
}


def mend(text: str) -> str:
    """Return `text` with each lone surrogate (half of a character cut in two) replaced by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def to_json(value: Any) -> str | None:
    """Return `value` as JSON text with sorted keys, free of what no destination stores; None stays None.

    What is nested deeper than a hundred times is cut there and says so.
    """
    if value is None:
        return None
    try:
        text = _dumps(value)
        # To count the brackets is quick, and few have so many.
        is_too_deep = text.count("[") + text.count("{") > _MAX_DEPTH and is_deeper(value, _MAX_DEPTH)
    except RecursionError:  # of which depth depends on Python's version and on who calls
        is_too_deep = True
    if is_too_deep:
        text = _dumps(_cut_at_depth(value, _MAX_DEPTH))
    return _ESCAPED_NUL.sub("\\1\ufffd", mend(text))


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _cut_at_depth(value: Any, depth: int) -> Any:
    """Return `value` with a short text in place of what lies deeper than `depth`."""
    if isinstance(value, dict | list) and not depth:
        return "nested too deep"
    if isinstance(value, dict):
        return {key: _cut_at_depth(inner, depth - 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_cut_at_depth(inner, depth - 1) for inner in value]
    return value


def _article(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", int: "an integer"}
    return kinds.get(type(value), "a number")
